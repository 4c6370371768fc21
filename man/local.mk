dist_man_MANS += man/stitchd.8 man/stitchd.conf.5 man/stitchctl.1 man/stitch-console.1 man/stitch-loader.7 man/stitch-protocol.7
