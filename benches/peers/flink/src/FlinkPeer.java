// The job of the comparison as Flink SQL: parse JSON, key by fingerprint, fold repeats, session window per (cluster,
// service), Kafka to Kafka, exactly once. One JVM, local cluster. Prints one JSON object when the whole input topic, as it
// stood at the start, has been read and the last transaction is committed.
//
// Less than tidegate does on the same input, in the peer's favour: one row per incident when its window closes, no events
// while it is open, no fate per alert, no dead letters.
//
// FlinkPeer BOOTSTRAP INPUT OUTPUT NAME PARALLELISM CHECKPOINT_MS CHECKPOINT_DIR

import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicLong;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ScalarFunction;

public final class FlinkPeer {
    /** Nanoseconds and processor time at the first alert; the cluster runs in this JVM. */
    static final AtomicLong FIRST_NANOS = new AtomicLong();
    static final AtomicLong FIRST_CPU = new AtomicLong();

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0], input = args[1], output = args[2], name = args[3];
        int parallelism = Integer.parseInt(args[4]);
        Configuration settings = new Configuration();
        settings.setString("parallelism.default", args[4]);
        settings.setString("taskmanager.numberOfTaskSlots", args[4]);
        settings.setString("execution.checkpointing.interval", args[5] + " ms");
        settings.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
        settings.setString("state.backend.type", "hashmap");
        settings.setString("execution.checkpointing.storage", "filesystem");
        settings.setString("execution.checkpointing.dir", "file://" + args[6]);
        StreamExecutionEnvironment environment =
                StreamExecutionEnvironment.createLocalEnvironment(parallelism, settings);
        environment.getConfig().enableObjectReuse();
        StreamTableEnvironment tables = StreamTableEnvironment.create(environment);
        tables.createTemporarySystemFunction("fingerprint", Fingerprint.class);
        tables.executeSql("""
                CREATE TABLE alerts (
                    labels MAP<STRING, STRING>,
                    `status` STRING,
                    startsAt STRING,
                    endsAt STRING,
                    ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
                    WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
                ) WITH (
                    'connector' = 'kafka', 'topic' = '%s', 'properties.bootstrap.servers' = '%s',
                    'properties.group.id' = '%s', 'scan.startup.mode' = 'earliest-offset',
                    'scan.bounded.mode' = 'latest-offset', 'format' = 'json', 'json.ignore-parse-errors' = 'true'
                )""".formatted(input, bootstrap, name));
        tables.executeSql("""
                CREATE TABLE incidents (
                    cluster STRING, service STRING, opened TIMESTAMP(3), ended TIMESTAMP(3),
                    alerts BIGINT, members BIGINT, resolved BIGINT
                ) WITH (
                    'connector' = 'kafka', 'topic' = '%s', 'properties.bootstrap.servers' = '%s',
                    'properties.transaction.timeout.ms' = '600000', 'format' = 'json',
                    'sink.delivery-guarantee' = 'exactly-once', 'sink.transactional-id-prefix' = '%s'
                )""".formatted(output, bootstrap, name));
        // Repeats are folded per fingerprint and second of event time; sessions are made of the folded stream.
        tables.executeSql("""
                CREATE TEMPORARY VIEW identified AS
                SELECT fingerprint(labels) AS fp, labels['cluster'] AS cluster,
                       COALESCE(labels['service'], labels['alertname']) AS service, `status`, ts
                FROM alerts""");
        tables.executeSql("""
                CREATE TEMPORARY VIEW folded AS
                SELECT fp, cluster, service, window_time AS seen, COUNT(*) AS alerts,
                       COUNT(*) FILTER (WHERE `status` = 'resolved') AS resolved
                FROM TABLE(TUMBLE(TABLE identified, DESCRIPTOR(ts), INTERVAL '1' SECOND))
                GROUP BY fp, cluster, service, window_start, window_end, window_time""");
        tables.executeSql("""
                INSERT INTO incidents
                SELECT cluster, service, window_start, window_end, SUM(alerts), COUNT(DISTINCT fp), SUM(resolved)
                FROM TABLE(SESSION(TABLE folded PARTITION BY (cluster, service), DESCRIPTOR(seen), INTERVAL '5' MINUTES))
                GROUP BY cluster, service, window_start, window_end""").await();
        report();
        System.exit(0);
    }

    private static long cpuNanos() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
                .getProcessCpuTime();
    }

    private static void report() throws Exception {
        long done = System.nanoTime(), cpu = cpuNanos();
        double gross = (System.currentTimeMillis() - ManagementFactory.getRuntimeMXBean().getStartTime()) / 1e3;
        String peak = Files.readAllLines(Path.of("/proc/self/status")).stream()
                .filter(line -> line.startsWith("VmHWM:")).findFirst().orElse("0").replaceAll("\\D+", "");
        System.out.printf("{\"seconds\":%.3f,\"seconds_gross\":%.3f,\"cpu_seconds\":%.3f,\"cpu_seconds_gross\":%.3f,"
                + "\"rss_peak_kib\":%s}%n", (done - FIRST_NANOS.get()) / 1e9, gross,
                (cpu - FIRST_CPU.get()) / 1e9, cpu / 1e9, peak);
    }

    /** 128 bits over the sorted labels, as hexadecimal text. */
    public static final class Fingerprint extends ScalarFunction {
        private static final long serialVersionUID = 1;
        private transient MessageDigest digest;

        @Override
        public void open(FunctionContext context) throws Exception {
            digest = MessageDigest.getInstance("MD5");
        }

        public String eval(Map<String, String> labels) {
            if (FIRST_NANOS.get() == 0 && FIRST_NANOS.compareAndSet(0, System.nanoTime())) {
                FIRST_CPU.set(cpuNanos());
            }
            if (labels == null) {
                return null;
            }
            for (Map.Entry<String, String> label : new TreeMap<>(labels).entrySet()) {
                digest.update(label.getKey().getBytes(StandardCharsets.UTF_8));
                digest.update((byte) 0xff);
                if (label.getValue() != null) {
                    digest.update(label.getValue().getBytes(StandardCharsets.UTF_8));
                }
                digest.update((byte) 0xff);
            }
            return java.util.HexFormat.of().formatHex(digest.digest());
        }
    }
}
