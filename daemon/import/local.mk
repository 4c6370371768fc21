# sources and headers of this folder
libdaemon_a_SOURCES += daemon/import/import.h daemon/import/import_priv.h daemon/import/import.c daemon/import/accept.c \
	daemon/import/auth.h daemon/import/auth.c \
	daemon/import/coding.h daemon/import/coding.c \
	daemon/import/intake.h daemon/import/intake.c \
	daemon/import/lane.c daemon/import/paths.h daemon/import/paths.c \
	daemon/import/rules.h daemon/import/rules.c \
	daemon/import/signature.h daemon/import/signature.c \
	daemon/import/tls.h daemon/import/tls.c \
	daemon/import/webhook.h daemon/import/webhook.c \
	daemon/import/keyed.h daemon/import/keyed.c \
	daemon/import/decode.h daemon/import/decode.c daemon/import/decode_push.c daemon/import/encode.c \
	daemon/import/health.c daemon/import/put.c daemon/import/receipt.h daemon/import/receipt.c daemon/import/refusal.h daemon/import/refusal.c \
	daemon/import/request.h daemon/import/request.c daemon/import/room.c daemon/import/route.c daemon/import/schema.h daemon/import/schema.c \
	daemon/import/validate.c daemon/import/remake.h daemon/import/remake.c \
	daemon/import/jtype.h daemon/import/jschema.h daemon/import/jschema_priv.h daemon/import/jschema.c daemon/import/jschema_check.c daemon/import/jcanon.c
