#!/usr/bin/env bash
# A real Apache Kafka (KRaft, combined broker+controller nodes) from Maven jars. Needs bash, java 17+, mvn, setsid; no root.
# pom.xml beside this file names the jars; services::kafka drives this script.
#   kafka.sh up DIR PORT [NODES]   resolve jars once, format, start; node i listens on 127.0.0.1:PORT+2(i-1), controller +1;
#                                  prints only 127.0.0.1:PORT on stdout; refuses a DIR that already holds a cluster
#   kafka.sh kill DIR [NODE]       kill -9 (all, or one node); exit 1 if it was not up      kafka.sh start DIR [NODE]  start again on the same data
#   kafka.sh down DIR              stop (TERM, then KILL)          kafka.sh wipe DIR          down + delete the data
#   kafka.sh tool DIR CLASS ARGS   run a class of the jars, e.g. kafka.tools.StorageTool
# Env: KAFKA_LIB (jar folder shared by all clusters; default DIR/lib)  KAFKA_HEAP (512m)  KAFKA_JVM (extra flags)
#      M2_REPO (maven's local repository)  KAFKA_PROPS (extra server.properties lines, `;` separated)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cmd=${1:?up|start|kill|down|wipe|tool}; D=${2:?dir}; mkdir -p "$D"; D=$(cd "$D" && pwd)
LIB=${KAFKA_LIB:-$D/lib}
jars() { # written to a scratch folder and renamed, so that an interrupted resolve leaves nothing half done
  [ -d "$LIB" ] && return 0
  mkdir -p "$(dirname "$LIB")"; local t; t=$(mktemp -d "$LIB.XXXXXX")
  mvn -q -B ${M2_REPO:+-Dmaven.repo.local="$M2_REPO"} -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$t" >&2 || { rm -rf "$t"; echo "could not resolve the jars" >&2; exit 1; }
  chmod 755 "$t"; mv -T "$t" "$LIB" 2>/dev/null || rm -rf "$t"
}
alive() { local p; p=$(cat "$D/n$1/pid" 2>/dev/null) && [ -n "$p" ] && kill -0 "$p" 2>/dev/null && grep -aq kafka.Kafka "/proc/$p/cmdline" 2>/dev/null; }
nodes() { cat "$D/nodes"; }
launch() { # node
  local n=$D/n$1; : > "$n/server.log"
  # shellcheck disable=SC2086
  setsid java -Xms64m -Xmx"${KAFKA_HEAP:-512m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+ExitOnOutOfMemoryError \
    -Dlog4j2.configurationFile="$D/log4j2.properties" -Dlog.file="$n/server.log" ${KAFKA_JVM:-} \
    -cp "$LIB/*" kafka.Kafka "$n/server.properties" >"$n/out" 2>&1 </dev/null &
  echo $! > "$n/pid"
}
ready() { # node
  local i; for i in $(seq 600); do
    grep -q 'Kafka Server started' "$D/n$1/server.log" && return 0
    alive "$1" || { echo "node $1 died:" >&2; tail -20 "$D/n$1/server.log" "$D/n$1/out" >&2; return 1; }
    sleep 0.1
  done; echo "node $1 not ready after 60 s" >&2; return 1
}
case $cmd in
up)
  P=${3:?port}; N=${4:-1}; jars
  [ -e "$D/nodes" ] && { echo "$D already holds a cluster (start, or wipe first)" >&2; exit 1; }
  ID=$(head -c16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '=')
  voters=; for i in $(seq "$N"); do voters+="${voters:+,}$i@127.0.0.1:$((P+2*i-1))"; done
  R=$N; [ "$R" -gt 3 ] && R=3; M=1; [ "$R" -ge 3 ] && M=2
  cat > "$D/log4j2.properties" <<'L'
status=error
appender.f.type=File
appender.f.name=f
appender.f.fileName=${sys:log.file}
appender.f.layout.type=PatternLayout
appender.f.layout.pattern=%d %p %c{1} %m%n
rootLogger.level=warn
rootLogger.appenderRef.f.ref=f
logger.k.name=kafka.server.KafkaRaftServer
logger.k.level=info
L
  for i in $(seq "$N"); do
    n=$D/n$i; mkdir -p "$n"; b=$((P+2*i-2))
    cat > "$n/server.properties" <<S
process.roles=broker,controller
node.id=$i
controller.quorum.voters=$voters
listeners=PLAINTEXT://127.0.0.1:$b,CONTROLLER://127.0.0.1:$((b+1))
advertised.listeners=PLAINTEXT://127.0.0.1:$b
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$n/data
default.replication.factor=$R
min.insync.replicas=$M
offsets.topic.replication.factor=$R
transaction.state.log.replication.factor=$R
transaction.state.log.min.isr=$M
share.coordinator.state.topic.replication.factor=$R
share.coordinator.state.topic.min.isr=$M
offsets.topic.num.partitions=3
transaction.state.log.num.partitions=3
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=100
group.consumer.heartbeat.interval.ms=300
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=3000
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
log.cleaner.backoff.ms=200
log.retention.check.interval.ms=1000
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=8388608
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=1500
$(tr ';' '\n' <<<"${KAFKA_PROPS:-}")
S
    java -Xmx128m -XX:TieredStopAtLevel=1 -cp "$LIB/*" -Dlog4j2.configurationFile="$D/log4j2.properties" -Dlog.file="$n/format.log" \
      kafka.tools.StorageTool format -t "$ID" -c "$n/server.properties" >"$n/format.out" 2>&1 || { cat "$n/format.out" >&2; exit 1; }
    launch "$i"
  done
  echo "$N" > "$D/nodes"
  for i in $(seq "$N"); do ready "$i"; done
  echo "127.0.0.1:$P" ;;
start) for i in ${3:-$(seq "$(nodes)")}; do alive "$i" || launch "$i"; done
  for i in ${3:-$(seq "$(nodes)")}; do ready "$i"; done ;;
kill) for i in ${3:-$(seq "$(nodes)")}; do alive "$i" && kill -9 "$(cat "$D/n$i/pid")"; done ;;
down|wipe) [ -e "$D/nodes" ] && { for i in $(seq "$(nodes)"); do alive "$i" && kill "$(cat "$D/n$i/pid")" || true; done
  for t in $(seq 100); do x=0; for i in $(seq "$(nodes)"); do alive "$i" && x=1; done; [ $x = 0 ] && break; sleep 0.1; done
  for i in $(seq "$(nodes)"); do alive "$i" && kill -9 "$(cat "$D/n$i/pid")" || true; done; }
  [ $cmd = wipe ] && rm -rf "$D"/n[0-9]* "$D/nodes"; true ;;
tool) shift 2; exec java -cp "$LIB/*" -Dlog4j2.configurationFile="$D/log4j2.properties" -Dlog.file=/dev/null "$@" ;;
*) echo "unknown: $cmd" >&2; exit 2 ;;
esac
