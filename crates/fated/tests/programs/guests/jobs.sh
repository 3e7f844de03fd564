# Job control in a shell without a terminal: groups, stop, continue, wait for any, exit codes, traps.
set -m
(sleep 0.3; exit 3) & first=$!
(sleep 0.1; exit 4) & second=$!
wait -n; echo "any: $?"
wait "$first"; echo "first: $?"
wait "$second"; echo "second, already gone: $?"
sleep 100 & long=$!
kill -STOP "$long"; sleep 0.1; jobs %+ | sed 's/[0-9]\{3,\}/PID/'
kill -CONT "$long"; sleep 0.1; kill -TERM "$long"; sleep 0.1; wait -f "$long"; echo "killed: $?"
trap 'echo "trapped"' USR1
(sleep 0.1; kill -USR1 $$) &
wait $!; echo "interrupted: $?"
trap - USR1
coproc { while read -r line; do echo "echo $line"; done; }
echo hello >&"${COPROC[1]}"; read -r answer <&"${COPROC[0]}"; echo "$answer"
diff <(seq 1 5) <(seq 2 6); echo "diff: $?"
false | true | (exit 5); echo "pipe: ${PIPESTATUS[*]}"
read -r -t 0.2 never < <(sleep 1); echo "timed out: $?"
cat <<< "here"
exec 5<> fifo_free; echo through >&5; exec 5>&-; cat fifo_free
