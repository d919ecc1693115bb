#!/usr/bin/env bash
# Apache Kafka brokers (KRaft, loopback only) for tests, from their Maven artifacts: one alone, or each of a cluster.
#
#   kafka.sh fetch                     gets the jars, once
#   kafka.sh start DIR [--sasl-ssl [--guarded]]  starts a broker whose files are in DIR; a second start over the same DIR keeps the data
#   kafka.sh stop DIR                  stops it in order; DIR stays
#   kafka.sh kill DIR                  stops it as a power cut would
#   kafka.sh acls DIR ARGUMENTS        runs kafka-acls over the plain listener
#   kafka.sh lead DIR TOPIC PARTITION NODE,NODE..  makes the first of these, which have its replicas, the partition's leader
#
# With --guarded an authorizer denies what was not granted; whoever comes by the plain listener may do everything.
# start prints one `name=value` line each for bootstrap and, with --sasl-ssl, sasl_bootstrap, ca, user and password.
# With KAFKA_OWNER=PID the broker is stopped when that process is gone, so that a killed test leaves nothing behind.
# Ports are the caller's: KAFKA_PORT, KAFKA_CONTROLLER_PORT, KAFKA_SASL_PORT (defaults 19092 to 19094).
# A broker of a cluster has a number, KAFKA_NODE (default 1), and is told of all of them: KAFKA_VOTERS=1@HOST:PORT,2@HOST:PORT..
# with the ports of their controllers, KAFKA_COPIES of everything (default 1). They must be started together: none is ready
# before most of them are.
# The jars lie in TIDEGATE_KAFKA_JARS, or in target/kafka of this checkout.
# Exit 77 and a line `skipped: why` mean that this machine cannot run the broker.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
jars=${TIDEGATE_KAFKA_JARS:-$here/../../target/kafka}
port=${KAFKA_PORT:-19092}
controller_port=${KAFKA_CONTROLLER_PORT:-19093}
sasl_port=${KAFKA_SASL_PORT:-19094}
# Fixed, so that a restart over the same folder is the same cluster.
cluster_id=dGlkZWdhdGUtYnJva2VyMQ
sasl_user=tidegate
sasl_password=flood-gate-secret
ready_seconds=60
node=${KAFKA_NODE:-1}
voters=${KAFKA_VOTERS:-$node@127.0.0.1:$controller_port}
copies=${KAFKA_COPIES:-1}
# With three copies one broker may be away.
copies_needed=$((copies > 1 ? copies - 1 : 1))

skip() {
    echo "skipped: $1"
    exit 77
}

fail() {
    echo "kafka.sh: $1" >&2
    exit 1
}

need_java() {
    local version
    command -v java >/dev/null || skip "java 17 not found"
    version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    [[ ${version:-0} -ge 17 ]] || skip "java 17 not found"
}

fetch() {
    need_java
    mkdir -p "$jars"
    # The stamp is the pom itself: another version in it fetches anew. The lock lets parallel test runs share one folder.
    exec 9>"$jars/.lock"
    flock 9
    if ! cmp -s "$here/pom.xml" "$jars/.pom.xml"; then
        command -v mvn >/dev/null || skip "java 17 found, but mvn, which fetches Apache Kafka, is not"
        rm -f "$jars"/*.jar
        mvn --quiet --batch-mode --file "$here/pom.xml" \
            org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
            -DoutputDirectory="$(cd "$jars" && pwd)" >&2 || skip "Apache Kafka could not be fetched"
        cp "$here/pom.xml" "$jars/.pom.xml"
    fi
    exec 9>&-
}

# A test authority and a server certificate for loopback.
make_certificates() {
    local dir=$1
    [[ -e $dir/server.pem ]] && return
    command -v openssl >/dev/null || skip "openssl not found"
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=tidegate test authority" \
        -keyout "$dir/ca.key" -out "$dir/ca.pem" 2>"$dir/openssl.log"
    openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" \
        -keyout "$dir/server.key" -out "$dir/server.csr" 2>>"$dir/openssl.log"
    openssl x509 -req -days 3650 -in "$dir/server.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial \
        -extfile <(echo "subjectAltName=DNS:localhost,IP:127.0.0.1") -out "$dir/server.crt" 2>>"$dir/openssl.log"
    cat "$dir/server.key" "$dir/server.crt" "$dir/ca.pem" >"$dir/server.pem"
}

write_config() {
    local dir=$1 sasl=$2 guarded=$3
    local listeners="PLAINTEXT://127.0.0.1:$port" advertised="PLAINTEXT://127.0.0.1:$port"
    local protocols="CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"
    if [[ $sasl == yes ]]; then
        listeners+=",SASL_SSL://127.0.0.1:$sasl_port"
        advertised+=",SASL_SSL://localhost:$sasl_port"
        protocols+=",SASL_SSL:SASL_SSL"
    fi
    cat >"$dir/server.properties" <<CONFIG
process.roles=broker,controller
node.id=$node
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=$listeners,CONTROLLER://127.0.0.1:$controller_port
advertised.listeners=$advertised
listener.security.protocol.map=$protocols
log.dirs=$dir/data
auto.create.topics.enable=false
min.insync.replicas=$copies_needed
offsets.topic.replication.factor=$copies
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=$copies_needed
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor=$copies
share.coordinator.state.topic.min.isr=$copies_needed
group.initial.rebalance.delay.ms=0
# Its default of 128 MiB does not fit a small heap.
log.cleaner.dedupe.buffer.size=8388608
CONFIG
    # The defaults, 9 and 10 s, are how long a test would wait for a dead broker and for the end of an abandoned transaction.
    [[ $copies -eq 1 ]] || cat >>"$dir/server.properties" <<CONFIG
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
CONFIG
    [[ $guarded == no ]] || cat >>"$dir/server.properties" <<CONFIG
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
CONFIG
    [[ $sasl == yes ]] || return 0
    cat >>"$dir/server.properties" <<CONFIG
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location=$dir/server.pem
CONFIG
}

# Sets `java` to the command line up to the class. Brokers of a cluster share the machine, and are restarted more often than
# code that is compiled with more effort would pay.
java_for() {
    local dir=$1 size=(-Xmx512m -Xms128m)
    [[ $copies -eq 1 ]] || size=(-Xmx256m -Xms64m -XX:TieredStopAtLevel=1)
    java=(java "${size[@]}" -XX:+UseSerialGC -Dorg.apache.logging.log4j.level=INFO "-Dkafka.logs.dir=$dir" -cp "$jars/*")
}

watch_owner() {
    setsid bash -c 'while kill -0 "$1" && kill -0 "$2"; do sleep 1; done; kill -KILL "$2"' _ "$1" "$2" >/dev/null 2>&1 </dev/null &
}

# True while the process of the pid file is a broker of this folder.
alive() {
    local pid
    pid=$(cat "$1/pid" 2>/dev/null) || return 1
    [[ -n $pid ]] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$1/server.properties"
}

start() {
    local dir sasl=no guarded=no
    [[ $# -ge 1 ]] || fail "start needs a folder"
    mkdir -p "$1"
    dir=$(cd "$1" && pwd)
    [[ ${2:-} != --sasl-ssl ]] || sasl=yes
    [[ ${3:-} != --guarded ]] || guarded=yes
    [[ -e $dir/data/meta.properties ]] || fetch # Whatever ran here before can run again.
    ! alive "$dir" || fail "a broker already runs in $dir"
    [[ $sasl == no ]] || make_certificates "$dir"
    write_config "$dir" "$sasl" "$guarded"
    java_for "$dir"
    if [[ ! -e $dir/data/meta.properties ]]; then
        local scram=()
        [[ $sasl == no ]] || scram=(--add-scram "SCRAM-SHA-512=[name=$sasl_user,password=$sasl_password]")
        "${java[@]}" kafka.tools.StorageTool format --cluster-id "$cluster_id" \
            --config "$dir/server.properties" "${scram[@]}" >"$dir/format.log" 2>&1 ||
            { cat "$dir/format.log" >&2; fail "the storage could not be formatted"; }
    fi
    [[ ! -e $dir/broker.log ]] || mv "$dir/broker.log" "$dir/broker.before.log"
    : >"$dir/broker.log"
    # Its own session: an interrupt at the terminal is for the test, which then stops the broker in order.
    setsid "${java[@]}" kafka.Kafka "$dir/server.properties" >>"$dir/broker.log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    [[ -z ${KAFKA_OWNER:-} ]] || watch_owner "$KAFKA_OWNER" "$(cat "$dir/pid")"
    wait_ready "$dir"
    echo "bootstrap=127.0.0.1:$port"
    if [[ $sasl == yes ]]; then
        echo "sasl_bootstrap=localhost:$sasl_port"
        echo "ca=$dir/ca.pem"
        echo "user=$sasl_user"
        echo "password=$sasl_password"
    fi
}

wait_ready() {
    local dir=$1 tries=$((ready_seconds * 5))
    for ((try = 0; try < tries; try++)); do
        ! grep -q "Kafka Server started" "$dir/broker.log" || return 0
        alive "$dir" || { [[ $try -lt 5 ]] || break; }
        sleep 0.2
    done
    tail -n 40 "$dir/broker.log" >&2
    stop "$dir" KILL
    fail "the broker was not ready within $ready_seconds s"
}

acls() {
    local dir
    dir=$(cd "$1" && pwd)
    java_for "$dir"
    "${java[@]}" org.apache.kafka.tools.AclCommand --bootstrap-server "127.0.0.1:$port" "${@:2}"
}

# The order of replicas names the preferred leader; then it is elected.
lead() {
    local dir topic=$2 partition=$3 replicas=$4
    dir=$(cd "$1" && pwd)
    java_for "$dir"
    echo "{\"version\":1,\"partitions\":[{\"topic\":\"$topic\",\"partition\":$partition,\"replicas\":[$replicas]}]}" >"$dir/lead.json"
    "${java[@]}" org.apache.kafka.tools.reassign.ReassignPartitionsCommand --bootstrap-server "127.0.0.1:$port" \
        --reassignment-json-file "$dir/lead.json" --execute >"$dir/lead.log" 2>&1 || { cat "$dir/lead.log" >&2; exit 1; }
    "${java[@]}" org.apache.kafka.tools.LeaderElectionCommand --bootstrap-server "127.0.0.1:$port" \
        --election-type preferred --topic "$topic" --partition "$partition" >>"$dir/lead.log" 2>&1 ||
        { cat "$dir/lead.log" >&2; exit 1; }
}

stop() {
    local dir signal=${2:-TERM} pid
    dir=$(cd "$1" && pwd)
    alive "$dir" || { rm -f "$dir/pid"; return 0; }
    pid=$(cat "$dir/pid")
    kill -"$signal" "$pid" 2>/dev/null || true
    for ((try = 0; try < 150; try++)); do
        alive "$dir" || { rm -f "$dir/pid"; return 0; }
        sleep 0.2
    done
    kill -KILL "$pid" 2>/dev/null || true
    rm -f "$dir/pid"
}

case ${1:-} in
fetch) fetch ;;
start) start "${@:2}" ;;
stop) stop "${2:?stop needs a folder}" ;;
kill) stop "${2:?kill needs a folder}" KILL ;;
acls) acls "${2:?acls needs a folder}" "${@:3}" ;;
lead) lead "${2:?lead needs a folder}" "${@:3}" ;;
*) fail "usage: kafka.sh fetch | start DIR [--sasl-ssl] | stop DIR | kill DIR | acls DIR ARGUMENTS | lead DIR TOPIC PARTITION NODES" ;;
esac
