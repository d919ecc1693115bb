// The job of the comparison in Kafka Streams: parse JSON, key by (cluster, service), dedup by fingerprint, session windows,
// Kafka to Kafka, exactly_once_v2. Prints one JSON object when every alert that was in the input topic at the start is in
// a committed session and the input offsets are committed.
//
// In the peer's favour: a fingerprint belongs to one group, so one repartition serves both keys; what is new and what repeats
// is summed up per group before the sessions and passed on every 100 ms; stores are in memory, and cached but for the
// sessions (a cached session store walks over every border a session has had since the last commit).
//
// StreamsPeer BOOTSTRAP INPUT OUTPUT NAME THREADS COMMIT_MS STATE_DIR

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

public final class StreamsPeer {
    static final AtomicLong FIRST_NANOS = new AtomicLong();
    static final AtomicLong FIRST_CPU = new AtomicLong();
    /** Alerts that have reached a session. */
    static final AtomicLong IN_SESSIONS = new AtomicLong();
    static final JsonFactory JSON = new JsonFactory();

    /** What goes through the repartition topic: fingerprint (16 bytes), 1 for a resolve. */
    record Seen(String group, byte[] bytes) {}

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0], input = args[1], output = args[2], name = args[3];
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, name);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, args[4]);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, args[5]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, args[6]);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256 << 20);
        settings.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);
        settings.put(StreamsConfig.producerPrefix("compression.type"), "lz4");
        settings.put(StreamsConfig.producerPrefix("batch.size"), 256 << 10);
        settings.put(StreamsConfig.producerPrefix("linger.ms"), 20);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.consumerPrefix("max.poll.records"), 5000);
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
                KafkaStreams streams = new KafkaStreams(topology(input, output), settings)) {
            Map<TopicPartition, Long> ends = ends(admin, input);
            long alerts = ends.values().stream().mapToLong(Long::longValue).sum();
            streams.setUncaughtExceptionHandler(fault -> {
                fault.printStackTrace();
                Runtime.getRuntime().halt(1);
                return null;
            });
            streams.start();
            while (IN_SESSIONS.get() < alerts || !committed(admin, name, ends)) {
                Thread.sleep(20);
            }
            // The last alert reached its session; the transaction that holds it ends within one more interval.
            Thread.sleep(Long.parseLong(args[5]));
            report();
        }
        System.exit(0);
    }

    private static org.apache.kafka.streams.Topology topology(String input, String output) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(Stores.keyValueStoreBuilder(
                Stores.inMemoryKeyValueStore("dedup"), Serdes.ByteBuffer(), Serdes.ByteArray()).withCachingEnabled());
        builder.addStateStore(Stores.keyValueStoreBuilder(
                Stores.inMemoryKeyValueStore("pending"), Serdes.String(), Serdes.ByteArray()).withCachingEnabled());
        builder.stream(input, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
                .mapValues(StreamsPeer::parse)
                .filter((key, seen) -> seen != null)
                .map((key, seen) -> new org.apache.kafka.streams.KeyValue<>(seen.group(), seen.bytes()))
                .repartition(Repartitioned.<String, byte[]>as("by-group").withKeySerde(Serdes.String())
                        .withValueSerde(Serdes.ByteArray()))
                .processValues(Dedup::new, "dedup", "pending")
                .groupByKey(Grouped.with(Serdes.String(), Serdes.ByteArray()))
                .windowedBy(SessionWindows.ofInactivityGapAndGrace(Duration.ofMinutes(5), Duration.ofHours(24)))
                .aggregate(() -> new byte[24], (group, folded, sum) -> count(folded, sum), (group, a, b) -> add(a, b),
                        Materialized.<String, byte[]>as(Stores.inMemorySessionStore("sessions", Duration.ofHours(25)))
                                .withKeySerde(Serdes.String()).withValueSerde(Serdes.ByteArray()).withCachingDisabled())
                .toStream()
                .filter((window, sum) -> sum != null)
                .map((window, sum) -> new org.apache.kafka.streams.KeyValue<>(window.key(),
                        event(window.key(), window.window().start(), window.window().end(), sum)))
                .to(output, Produced.with(Serdes.String(), Serdes.String()));
        return builder.build();
    }

    /** Labels and status of a native alert; everything else is skipped. Null if it is none. */
    static Seen parse(byte[] json) {
        if (FIRST_NANOS.get() == 0 && FIRST_NANOS.compareAndSet(0, System.nanoTime())) {
            FIRST_CPU.set(cpuNanos());
        }
        TreeMap<String, String> labels = new TreeMap<>();
        boolean resolved = false;
        try (JsonParser parser = JSON.createParser(json)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String field = parser.currentName();
                JsonToken value = parser.nextToken();
                if (field.equals("labels") && value == JsonToken.START_OBJECT) {
                    while (parser.nextToken() == JsonToken.FIELD_NAME) {
                        String label = parser.currentName();
                        parser.nextToken();
                        labels.put(label, parser.getText());
                    }
                } else if (field.equals("status")) {
                    resolved = parser.getText().equals("resolved");
                } else {
                    parser.skipChildren();
                }
            }
        } catch (IOException fault) {
            return null;
        }
        MessageDigest digest = DIGEST.get();
        for (Map.Entry<String, String> label : labels.entrySet()) {
            digest.update(label.getKey().getBytes(StandardCharsets.UTF_8));
            digest.update((byte) 0xff);
            digest.update(label.getValue().getBytes(StandardCharsets.UTF_8));
            digest.update((byte) 0xff);
        }
        byte[] bytes = new byte[17];
        System.arraycopy(digest.digest(), 0, bytes, 0, 16);
        bytes[16] = (byte) (resolved ? 1 : 0);
        String service = labels.getOrDefault("service", labels.getOrDefault("alertname", ""));
        return new Seen(labels.getOrDefault("cluster", "") + "/" + service, bytes);
    }

    private static final ThreadLocal<MessageDigest> DIGEST = ThreadLocal.withInitial(() -> {
        try {
            return MessageDigest.getInstance("MD5");
        } catch (java.security.NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible);
        }
    });

    /** Sums up (alerts, new members, resolves) per group and passes the sums on. */
    static final class Dedup implements FixedKeyProcessor<String, byte[], byte[]> {
        private FixedKeyProcessorContext<String, byte[]> context;
        /** The last status of every fingerprint. */
        private KeyValueStore<ByteBuffer, byte[]> store;
        /** What is not yet passed on, per group: in the state, so that a crash does not lose it. */
        private KeyValueStore<String, byte[]> pending;
        /** The newest record of each, to pass the sum on with. */
        private final Map<String, FixedKeyRecord<String, byte[]>> last = new HashMap<>();

        @Override
        public void init(FixedKeyProcessorContext<String, byte[]> context) {
            this.context = context;
            store = context.getStateStore("dedup");
            pending = context.getStateStore("pending");
            context.schedule(Duration.ofMillis(100), PunctuationType.WALL_CLOCK_TIME, now -> flush());
        }

        @Override
        public void process(FixedKeyRecord<String, byte[]> record) {
            byte[] value = record.value();
            ByteBuffer fingerprint = ByteBuffer.wrap(value, 0, 16).slice();
            byte[] known = store.get(fingerprint);
            byte status = value[16];
            boolean isNew = known == null || known[0] != status;
            if (isNew) {
                store.put(fingerprint, new byte[] {status});
            }
            byte[] before = pending.get(record.key());
            byte[] more = sum(1, known == null ? 1 : 0, isNew ? status : 0);
            pending.put(record.key(), before == null ? more : add(more, before));
            last.put(record.key(), record);
        }

        private void flush() {
            last.forEach((group, record) -> {
                context.forward(record.withValue(pending.get(group)));
                pending.delete(group);
            });
            last.clear();
        }
    }

    static byte[] sum(long alerts, long members, long resolves) {
        return ByteBuffer.allocate(24).putLong(alerts).putLong(members).putLong(resolves).array();
    }

    static byte[] count(byte[] more, byte[] sum) {
        IN_SESSIONS.addAndGet(ByteBuffer.wrap(more).getLong());
        return add(more, sum);
    }

    static byte[] add(byte[] more, byte[] sum) {
        ByteBuffer a = ByteBuffer.wrap(more), b = ByteBuffer.wrap(sum);
        return sum(a.getLong() + b.getLong(), a.getLong() + b.getLong(), a.getLong() + b.getLong());
    }

    static String event(String group, long start, long end, byte[] sum) {
        ByteBuffer counts = ByteBuffer.wrap(sum);
        return "{\"group\":\"" + group + "\",\"opened\":" + start + ",\"ended\":" + end + ",\"alerts\":"
                + counts.getLong() + ",\"members\":" + counts.getLong() + ",\"resolved\":" + counts.getLong() + "}";
    }

    private static Map<TopicPartition, Long> ends(Admin admin, String topic) throws Exception {
        Collection<TopicPartition> partitions = admin.describeTopics(java.util.List.of(topic)).allTopicNames().get()
                .get(topic).partitions().stream().map(part -> new TopicPartition(topic, part.partition())).toList();
        return admin.listOffsets(partitions.stream().collect(Collectors.toMap(part -> part, part -> OffsetSpec.latest())))
                .all().get().entrySet().stream().collect(Collectors.toMap(Map.Entry::getKey, end -> end.getValue().offset()));
    }

    private static boolean committed(Admin admin, String group, Map<TopicPartition, Long> ends) throws Exception {
        var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        return ends.entrySet().stream().allMatch(end -> {
            var offset = offsets.get(end.getKey());
            return end.getValue() == 0 || offset != null && offset.offset() >= end.getValue();
        });
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
}
