#!/bin/bash
# Rounds of the log on a disk that refuses: log-faults.sh BUILD SHARED KIND ROUNDS [SEED]. Each round: load, a fault, a power cut, a start; then all that was
# acknowledged must be there once (logdriver check). Prints a line for each bad round and "KIND: N rounds, N acknowledged, N bad". Exit 77: cannot run here.
# Kinds: cut (power cuts alone, by ext4 shutdown), active (writes to existing segments fail), any (any data block), killed (any, and the process is killed within the
# window and started at once), flush (flushes fail and the device drops its cache), full (the disk runs full, kills).
set -u
build=$1 shared=$2 kind=$3 rounds=$4 seed=${5:-$$}
RANDOM=$seed
driver=$build/t/lib/${FAULT_DRIVER:-logdriver} # another file under test: its driver, and the files that "active" aims at
files=${FAULT_FILES:-queue/*.seg}
w=$(mktemp -d "${TMPDIR:-/tmp}/log-faults-$kind-XXX""XXX") || exit 77
loop='' disk='' daemon='' run=0 bad=0 acked=0 journal=$w/journal

cannot() { echo "# cannot run: $*"; finish; exit 77; }
finish() {
	[ -n "$daemon" ] && kill -9 "$daemon" 2>/dev/null
	[ -n "$daemon" ] && wait "$daemon" 2>/dev/null
	unmount
	if [ -n "$disk" ]; then exec 7>&-; wait "$disk" 2>/dev/null; fi
	mountpoint -q "$w/fuse" && umount -l "$w/fuse"
	rm -rf "$w"
}
trap 'finish; exit 130' INT TERM

unmount() {
	mountpoint -q "$w/mnt" && { umount "$w/mnt" 2>/dev/null || umount -l "$w/mnt"; }
	[ -n "$loop" ] && losetup -d "$loop" 2>/dev/null
	loop=
}
remount() { # IMAGE
	local i
	for i in 1 2 3 4 5; do
		loop=$(losetup --direct-io=off -f --show "$1" 2>/dev/null) && break
		sleep 0.1
	done
	[ -n "$loop" ] || return 1
	mount "$loop" "$w/mnt" 2>/dev/null
}
rest() { sleep "0.$(printf %03d $((RANDOM % $1 + 5)))"; } # up to so many ms
tell() { # COMMAND: to the refusing disk, and its answer
	echo "$*" >&7
	read -r -t 5 answer <&8
}
run_driver() { # MS
	run=$((run + 1))
	"$driver" run "$w/mnt/d" "$journal" "$1" "$run" 2>>"$w/err" &
	daemon=$!
}
end_driver() {
	kill -9 "$daemon" 2>/dev/null
	wait "$daemon" 2>/dev/null
	daemon=
}
cut_power() {
	if [ "$kind" = cut ] || [ "$kind" = full ]; then
		# ext4's shutdown lets a sync through that began before it and is told "done" after it: such an answer does not count (statedriver reads P)
		[ -n "${FAULT_DRIVER:-}" ] && echo P >>"$journal"
		"$w/powercut" "$w/mnt" 2>/dev/null
	else
		tell cut "0.$((RANDOM % 10))"
	fi
	end_driver
	unmount
	if [ -n "$disk" ]; then tell revive; fi
	remount "$image"
}
# Only the blocks of the given files may fail.
aim_at() {
	local lo hi
	tell x0
	while read -r lo hi; do tell x "$lo" "$((hi + 1))"; done < <(filefrag -e "$@" 2>/dev/null | sed -nE 's/^ *[0-9]+: +[0-9]+\.\. *[0-9]+: +([0-9]+)\.\. *([0-9]+):.*/\1 \2/p' | head -n 60)
}
# Any block but the file system's own (all of it lies before the first file) and the folders' blocks.
aim_at_data() {
	local b
	tell x0
	b=$(for f in "$w/mnt" "$w/mnt/d" "$w/mnt/d/queue"; do filefrag -e "$f" 2>/dev/null; done | sed -nE 's/^ *[0-9]+: +[0-9]+\.\. *[0-9]+: +([0-9]+)\.\. *([0-9]+):.*/\1/p' | sort -n | uniq)
	local from=$first_data
	for d in $b; do [ "$d" -gt "$from" ] && tell x "$from" "$d"; [ "$d" -ge "$from" ] && from=$((d + 1)); done
	tell x "$from" "$blocks"
}

prepare() {
	[ "$(id -u)" = 0 ] || cannot "not root"
	[ -e /dev/loop-control ] || cannot "no loop devices"
	[ -f "$shared/bench/faults/refusingdisk.c" ] || cannot "no fault tools in $shared"
	[ -x "$driver" ] || cannot "$driver is not built"
	mkdir -p "$w/fuse" "$w/mnt"
	local mib=96
	[ "$kind" = full ] && mib=24
	truncate -s ${mib}M "$w/img"
	blocks=$((mib * 256))
	mkfs.ext4 -q -F -b 4096 -J size=4 -E packed_meta_blocks=1,lazy_itable_init=0 "$w/img" || cannot "mkfs.ext4"
	first_data=$(debugfs -R 'stat <8>' "$w/img" 2>/dev/null | sed -nE 's/.*\([0-9]+-[0-9]+\):[0-9]+-([0-9]+).*/\1/p' | tail -n 1)
	first_data=$((${first_data:-2048} + 1))
	image=$w/img
	if [ "$kind" = cut ] || [ "$kind" = full ]; then
		cc -O2 -o "$w/powercut" "$shared/bench/faults/powercut.c" || cannot "cc"
	else
		[ -e /dev/fuse ] || cannot "no /dev/fuse"
		cc -O2 -w -o "$w/refusingdisk" "$shared/bench/faults/refusingdisk.c" || cannot "cc"
		mkfifo "$w/ask" "$w/answer"
		"$w/refusingdisk" "$w/img" "$w/fuse" "$seed" <"$w/ask" >"$w/answer" 2>>"$w/err" &
		disk=$!
		exec 7>"$w/ask" 8<"$w/answer"
		read -r -t 20 answer <&8
		[ "$answer" = ready ] || cannot "refusingdisk: $answer $(cat "$w/err")"
		image=$w/fuse/img
	fi
	remount "$image" || cannot "no loop mount"
	mkdir "$w/mnt/d" && sync -f "$w/mnt"
}

fault() {
	run_driver 5000
	rest 250
	case $kind in
	cut) ;;
	active | any | killed)
		if [ "$kind" = active ]; then aim_at "$w"/mnt/d/$files; else aim_at_data; fi
		tell fail -1 "$((RANDOM % 2)).$((RANDOM % 9 + 1))"
		rest 150
		if [ "$kind" = killed ]; then end_driver; run_driver 5000; rest 100; end_driver; run_driver 5000; fi
		tell fail 0 1
		rest 100
		if [ "$kind" != killed ]; then tell fail -1 1; rest 80; tell fail 0 1; fi
		;;
	flush)
		aim_at_data
		tell failflush "$((RANDOM % 3 + 1))" 1
		rest 150
		;;
	full)
		dd if=/dev/zero of="$w/mnt/filler" bs=64k count=$((RANDOM % 400)) 2>/dev/null
		rest 200
		end_driver
		run_driver 5000
		rest 100
		[ $((RANDOM % 2)) = 0 ] && rm -f "$w/mnt/filler"
		;;
	esac
	rest 150
}

round() {
	local out
	: >"$journal.new"
	fault
	cut_power || { echo "# round $1: no mount after the cut"; return 1; }
	if [ "$kind" = cut ]; then run_driver 5000; rest 200; cut_power || return 1; fi
	rm -f "$w/mnt/filler"
	run=$((run + 1))
	"$driver" drain "$w/mnt/d" "$journal" "$run" >"$w/out" 2>&1 || { echo "# round $1 (seed $seed): the start failed: $(tail -n 3 "$w/out")"; return 1; }
	out=$("$driver" check "$journal") || { echo "# round $1 (seed $seed): $(echo "$out" | tail -n 5)"; return 1; }
	[ -n "${VERBOSE:-}" ] && echo "# round $1: $out"
	set -- $out
	acked=$2
	return 0
}

prepare
total=0
for ((r = 1; r <= rounds; r++)); do
	if ! round "$r"; then
		bad=$((bad + 1))
		[ -n "${KEEP:-}" ] && { echo "# kept in $w"; exit 1; }
		: >"$journal" # the next round stands for itself
		unmount; [ -n "$disk" ] && tell revive
		remount "$image" || break
		rm -rf "$w/mnt/d"; mkdir "$w/mnt/d"; sync -f "$w/mnt"
	fi
done
total=$acked
echo "$kind: $((r - 1)) rounds, $total acknowledged, $(grep -c "sealed before" "$w/err" 2>/dev/null) segments sealed, $bad bad (seed $seed)"
finish
[ "$bad" = 0 ]
