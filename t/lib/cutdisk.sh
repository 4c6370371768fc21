# shellcheck shell=bash
# cutdisk.sh - a file system of the test's own at $MNT that loses power, and one that refuses writes (after test-lib.sh and pipeline.sh). Both tools come from the
# shared folder (bench/faults). $STATE lies on it, the destination does not.
#     cut_disk_ready plain|refusing [MIB]
#     cut_power                # what was not synced is gone; the daemon is killed, the disk is mounted again
#     aim_at FILE...; tell fail -1 0.5; ...; tell fail 0 1        (refusing)
#     rounds_of KIND ROUNDS FAULT     # rounds in which flights are pushed and the shell function FAULT is called in the middle
MNT=$T/mnt _loop='' _disk='' _image='' _blocks=0 _first_data=0

cut_disk_ready() {
	local mib=${2:-96} answer c
	need_root
	need mkfs.ext4 losetup filefrag cc
	[ -f "$STITCH_SHARED/bench/faults/powercut.c" ] || skip_all "no fault tools in $STITCH_SHARED"
	[ -e /dev/loop-control ] || skip_all "this kernel gives no loop devices" rightly
	mkdir -p "$MNT" "$T/fuse"
	truncate -s "${mib}M" "$T/img"
	_blocks=$((mib * 256)) _image=$T/img
	mkfs.ext4 -q -F -b 4096 -J size=4 -E packed_meta_blocks=1,lazy_itable_init=0 "$T/img" || bail "mkfs.ext4"
	_first_data=$(debugfs -R 'stat <8>' "$T/img" 2>/dev/null | sed -nE 's/.*\([0-9]+-[0-9]+\):[0-9]+-([0-9]+).*/\1/p' | tail -n 1)
	_first_data=$((${_first_data:-2048} + 1))
	# before the library's own end, which removes the folder
	trap 'stop_pushers; _cut_disk_end; _end' EXIT
	if [ "$1" = plain ]; then
		cc -O2 -w -o "$T/powercut" "$STITCH_SHARED/bench/faults/powercut.c" || bail "cc"
	else
		[ -e /dev/fuse ] || skip_all "this kernel gives no /dev/fuse" rightly
		cc -O2 -w -o "$T/refusingdisk" "$STITCH_SHARED/bench/faults/refusingdisk.c" || bail "cc"
		mkfifo "$T/ask" "$T/answer"
		"$T/refusingdisk" "$T/img" "$T/fuse" "$RANDOM" <"$T/ask" >"$T/answer" 2>>"$T/refusingdisk.err" &
		_disk=$!
		exec 7>"$T/ask" 8<"$T/answer"
		read -r -t 20 answer <&8
		[ "$answer" = ready ] || skip_all "no FUSE mount: $(cat "$T/refusingdisk.err")" rightly
		_image=$T/fuse/img
	fi
	_mount_disk || skip_all "no loop mount" rightly
	STATE=$MNT/state
	mkdir "$STATE" && sync -f "$MNT"
}
_cut_disk_end() {
	local c=$?
	trap '' INT TERM HUP
	[ -n "$stitchd_pid" ] && kill -KILL "$stitchd_pid" 2>/dev/null && wait "$stitchd_pid" 2>/dev/null
	_unmount_disk
	if [ -n "$_disk" ]; then exec 7>&-; wait "$_disk" 2>/dev/null; fi
	mountpoint -q "$T/fuse" && umount -l "$T/fuse"
	return $c
}
_unmount_disk() {
	mountpoint -q "$MNT" && { umount "$MNT" 2>/dev/null || { wait_for 5 'umount "$MNT"' || umount -l "$MNT"; }; }
	[ -n "$_loop" ] && losetup -d "$_loop" 2>/dev/null
	_loop=
}
_mount_disk() {
	wait_for 5 '_loop=$(losetup --direct-io=off -f --show "$_image" 2>/dev/null)' && mount "$_loop" "$MNT" 2>/dev/null
}
tell() { # COMMAND: to the refusing disk
	local answer
	echo "$*" >&7
	read -r -t 5 answer <&8
}
aim_at() { # FILE...: only their blocks may fail
	local lo hi
	tell x0
	while read -r lo hi; do tell x "$lo" "$((hi + 1))"; done < <(filefrag -e "$@" 2>/dev/null | sed -nE 's/^ *[0-9]+: +[0-9]+\.\. *[0-9]+: +([0-9]+)\.\. *([0-9]+):.*/\1 \2/p' | head -n 60)
}
# any block but the file system's own (all of it lies before the first file) and the folders'
aim_at_data() {
	local b d from=$_first_data
	tell x0
	b=$(find "$MNT" -xdev -type d -exec filefrag -e {} + 2>/dev/null | sed -nE 's/^ *[0-9]+: +[0-9]+\.\. *[0-9]+: +([0-9]+)\.\. *([0-9]+):.*/\1/p' | sort -n | uniq)
	for d in $b; do
		[ "$d" -gt "$from" ] && tell x "$from" "$d"
		[ "$d" -ge "$from" ] && from=$((d + 1))
	done
	tell x "$from" "$_blocks"
}
nap() { sleep "0.$(printf %03d $((RANDOM % $1 + 5)))"; } # up to so many ms: the fault's random moment

# The client is held first: what is answered after the cut would be counted, and is not promised. Its requests are under way meanwhile.
cut_power() {
	[ ${#_pushers[@]} = 0 ] || kill -STOP "${_pushers[@]}" 2>/dev/null
	if [ -z "$_disk" ]; then "$T/powercut" "$MNT"; else tell cut "0.$((RANDOM % 10))"; fi
	stop_pushers
	kill_stitchd
	_unmount_disk
	[ -z "$_disk" ] || tell revive
	_mount_disk || bail "no mount after the cut: $(dmesg 2>/dev/null | tail -n 3)"
}
revive_stitchd() { # it may end by itself while its disk refuses; then it is started again, as systemd does
	[ -n "$stitchd_pid" ] && ! gone "$stitchd_pid" && return 0
	_revived=$((_revived + 1))
	stitchd_pid=
	start_stitchd "${flags[@]}"
}

# KIND ROUNDS FAULT: each round pushes all flights into two tables of its own, calls FAULT in the middle of it, cuts the power, starts again and lets the client end.
# One test: no round in which anything is missing or double, or a ledger is out of balance.
rounds_of() {
	local kind=$1 rounds=$2 fault=$3 r bad=0 before acknowledged=0 t
	_revived=0
	start_stitchd "${flags[@]}" && { [ -s "$T/token" ] || chain; } || { fail "$kind: a new install"; return; }
	for ((r = 1; r <= rounds; r++)); do
		_round_tables=("keyed_$kind$r" "plain_$kind$r")
		push_flights "${push[@]}"
		wait_for 20 '[ "$(acked)" -gt 0 ]' || diag "$kind, round $r: nothing is acknowledged"
		nap 600
		"$fault"
		cut_power
		before=$(acked)
		acknowledged=$((acknowledged + before))
		if ! start_stitchd "${flags[@]}"; then
			fail "$kind: the start after round $r"
			return
		fi
		resume_flights "${push[@]}"
		if ! pushed 60 || ! settled 60 || ! _round_is_right; then
			bad=$((bad + 1))
			diag "$kind, round $r: not right ($before batches had been acknowledged at the cut)"
			[ -z "${STITCH_TEST_KEEP:-}" ] || { fail "$kind: round $r"; done_testing; }
		fi
	done
	# what earlier rounds loaded has stayed
	for t in $(sqlite "$T/local.db" "SELECT name FROM sqlite_schema WHERE type = 'table' AND (name LIKE '${SOURCE}__keyed%' OR name LIKE '${SOURCE}__plain%')"); do
		[ "$(sqlite "$T/local.db" "SELECT count(*), count(DISTINCT id) FROM $t")" = "$N_FLIGHTS|$N_FLIGHTS" ] || { bad=$((bad + 1)); diag "at the end: $t: $(sqlite "$T/local.db" "SELECT count(*), count(DISTINCT id) FROM $t")"; }
	done
	is "$kind: $rounds rounds, $acknowledged acknowledged batches at the cuts" 0 "$bad"
	diag "in all so far: $(grep -cE 'Input/output error|disk I/O error|a sync of another file' "$LOG") errors of the disk met, $(grep -c 'sealed before' "$LOG") segments sealed, $(grep -c 'starting anew' "$LOG") starts anew, $_revived by hand"
	stop_stitchd || fail "$kind: the stop"
}
_round_is_right() {
	local t seen rc=0
	for t in "${_round_tables[@]}"; do
		seen=$(digest_of "$T/local.db" "$t" 2>&1)
		[ "$seen" = "$WANT" ] || { rc=1; diag "table $t: wanted $WANT, seen $seen"; }
	done
	seen=$(unbalanced)
	[ -z "$seen" ] || { rc=1; diag "ledger: $seen"; }
	return $rc
}
