import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.cfg.PackageVersion;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Prints, as JSON, what a JVM gives for String.hashCode over bytes read as UTF-8, and for the
 * partition Math.abs(hash) % n, and what Jackson with its defaults writes for objects, so that the
 * Go code can be checked against them. The output is the same at every run. Run it with
 * scripts/javahash/generate.
 */
final class Vectors {
    private static final ObjectMapper JACKSON = new ObjectMapper();
    private static final HexFormat HEX = HexFormat.of();
    private static final int[] COUNTS = {1, 2, 3, 4, 7, 16, 100, 128, 1000};
    private static final long SEED = 20240229;
    private static final int RANDOM_CASES = 200;

    /** Both ends of every range that the UTF-8 decoder tells apart. */
    private static final String BOUNDARY_BYTES =
        "00417f808f909fa0bfc0c1c2c3dfe0e1ecedeeeff0f1f3f4f5f7f8fbfcfdfeff";

    public static void main(String[] args) throws IOException {
        System.out.println("{");
        System.out.println("  \"jackson\": \"" + PackageVersion.VERSION + "\",");
        System.out.println("  \"partition_counts\": " + ints(COUNTS) + ",");
        System.out.println("  \"boundary_bytes\": \"" + BOUNDARY_BYTES + "\",");
        System.out.println("  \"sweeps\": " + array(sweeps()) + ",");
        System.out.println("  \"texts\": " + array(texts()) + ",");
        System.out.println("  \"payloads\": " + array(payloads()) + ",");
        System.out.println("  \"values\": " + array(values()) + ",");
        System.out.println("  \"differences\": " + array(differences()));
        System.out.println("}");
    }

    // --- Texts: bytes, their hash, their partitions.

    private static List<String> texts() {
        List<String> out = new ArrayList<>();
        wellFormed(out);
        malformed(out);
        Random random = new Random(SEED);
        for (int i = 0; i < RANDOM_CASES; i++) {
            byte[] bytes = i % 4 == 0 ? anyBytes(random) : almostText(random);
            out.add(text("random " + i, bytes));
        }
        return out;
    }

    private static void wellFormed(List<String> out) {
        out.add(text("empty", ""));
        out.add(text("one letter", "a"));
        out.add(text("ASCII", "order-4711"));
        out.add(text("all ASCII", ascii()));
        out.add(text("NUL", "\0"));
        out.add(text("NUL inside", "a\0b"));
        out.add(text("MinInt32", "polygenelubricants"));
        out.add(text("MinInt32, another", "DESIGNING WORKHOUSES"));
        out.add(text("Latin-1", "Bestellung für Müller"));
        out.add(text("Greek", "παραγγελία"));
        out.add(text("Japanese", "注文番号"));
        out.add(text("last before surrogates", "\uD7FF"));
        out.add(text("first after surrogates", "\uE000"));
        out.add(text("byte order mark", "\uFEFFx"));
        out.add(text("U+FFFD itself", "\uFFFD"));
        out.add(text("U+FFFF", "\uFFFF"));
        out.add(text("first supplementary", "\uD800\uDC00"));
        out.add(text("last supplementary", "\uDBFF\uDFFF"));
        out.add(text("emoji", "\uD83D\uDE00"));
        out.add(text("emoji in text", "order \uD83D\uDCE6 sent"));
        out.add(text("joined emoji", "\uD83D\uDC69\u200D\uD83D\uDE80"));
        out.add(text("long ASCII", "0123456789".repeat(500)));
        out.add(text("long, mixed", "aß水\uD83D\uDE00".repeat(300)));
    }

    private static void malformed(List<String> out) {
        String[][] cases = {
            {"lone continuation", "80"}, {"lone continuations", "80bf80"},
            {"two bytes, cut off", "c3"}, {"two bytes, cut off inside", "61c362"},
            {"three bytes, one there", "e2"}, {"three bytes, two there", "e282"},
            {"three bytes, one there inside", "61e262"}, {"three bytes, two there inside", "61e28262"},
            {"four bytes, one there", "f0"}, {"four bytes, two there", "f09f"},
            {"four bytes, three there", "f09f98"}, {"four bytes, three there inside", "61f09f9862"},
            {"four bytes, two there inside", "61f09f62"}, {"four bytes, one there inside", "61f062"},
            {"cut off before another character", "e282e282ac"}, {"cut off twice", "e282e282"},
            {"overlong NUL", "c080"}, {"overlong slash of two", "c0af"}, {"overlong C1", "c1bf"},
            {"overlong of three", "e08080"}, {"overlong of three, last", "e09fbf"},
            {"overlong of four", "f0808080"}, {"overlong of four, last", "f08fbfbf"},
            {"overlong of three, cut off", "e080"}, {"overlong of four, cut off", "f08080"},
            {"first surrogate", "eda080"}, {"last surrogate", "edbfbf"}, {"surrogate, two there", "eda0"},
            {"surrogate, two there inside", "eda041"}, {"surrogate, one there", "ed"},
            {"surrogate pair encoded", "eda0bdedb880"}, {"surrogate in text", "61edb08062"},
            {"surrogate, then continuation", "eda08080"},
            {"above U+10FFFF", "f4908080"}, {"above U+10FFFF, cut off", "f490"}, {"F4 cut off", "f48fbf"},
            {"F5", "f5808080"}, {"F5 alone", "f5"}, {"F7", "f7bfbfbf"}, {"F8", "f888808080"},
            {"FC", "fc8480808080"}, {"FE", "fe"}, {"FF", "ff"}, {"FE FF", "feff"},
            {"FF between letters", "61ff62"}, {"Latin-1 bytes", "4de4e6f6"},
            {"good after bad", "fff09f9880"}, {"bad after good", "f09f9880ff"},
        };
        for (String[] c : cases) {
            out.add(text(c[0], HEX.parseHex(c[1])));
        }
    }

    private static String ascii() {
        return IntStream.range(0, 128).mapToObj(Character::toString).collect(Collectors.joining());
    }

    private static byte[] anyBytes(Random random) {
        byte[] bytes = new byte[random.nextInt(40)];
        random.nextBytes(bytes);
        return bytes;
    }

    /** Characters of all lengths, with a byte now and then lost or changed. */
    private static byte[] almostText(Random random) {
        StringBuilder text = new StringBuilder();
        int[] limits = {0x80, 0x800, 0xD800, 0x110000};
        for (int n = random.nextInt(12); n >= 0; n--) {
            int c = random.nextInt(limits[random.nextInt(limits.length)]);
            text.appendCodePoint(c >= 0xD800 && c < 0xE000 ? c + 0x2000 : c);
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte b : text.toString().getBytes(StandardCharsets.UTF_8)) {
            int chance = random.nextInt(12);
            if (chance == 0) {
                continue;
            }
            out.write(chance == 1 ? random.nextInt(256) : b);
        }
        return out.toByteArray();
    }

    private static String text(String name, String text) {
        return text(name, text.getBytes(StandardCharsets.UTF_8));
    }

    private static String text(String name, byte[] bytes) {
        return String.format("{\"name\": \"%s\", \"bytes\": \"%s\", %s}", name, HEX.formatHex(bytes), result(decode(bytes)));
    }

    // --- Payloads: fields, the JSON object they make, its hash and partitions.

    private static List<String> payloads() throws IOException {
        List<String> out = new ArrayList<>();
        out.add(payload("no fields"));
        out.add(payload("one field", "id", "7"));
        out.add(payload("order of fields is kept", "b", "1", "a", "2"));
        out.add(payload("duplicates are kept", "a", "1", "a", "2", "a", "1"));
        out.add(payload("empty name and value", "", ""));
        out.add(payload("quotes and backslashes", "say \"hi\"", "C:\\temp\\\"x\""));
        out.add(payload("short escapes", "a", "\b\f\n\r\t"));
        out.add(payload("all control characters", "all", ascii().substring(0, 32)));
        out.add(payload("DEL is not escaped", "del", "\u007F"));
        out.add(payload("no HTML escaping", "html", "<a href='x'>&</a>"));
        out.add(payload("slash is not escaped", "url", "https://example.com/"));
        out.add(payload("line separators are not escaped", "ls", "\u2028\u2029"));
        out.add(payload("non-ASCII", "größe", "水 \uD83D\uDE00"));
        out.add(payload("several", "sku", "A-1", "qty", "3", "note", "líne\n2"));
        out.add(payload("C1 controls are not escaped", "c1", "\u0080\u009F"));
        String[] broken = {"ff", "e282", "e28222", "eda080", "f09f985c", "c30a", "8022e2825c"};
        for (String hex : broken) {
            out.add(payload("invalid UTF-8 " + hex, new byte[][] {HEX.parseHex(hex), HEX.parseHex(hex)}));
        }
        return out;
    }

    private static String payload(String name, String... namesAndValues) throws IOException {
        byte[][] bytes = new byte[namesAndValues.length][];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = namesAndValues[i].getBytes(StandardCharsets.UTF_8);
        }
        return payload(name, bytes);
    }

    private static String payload(String name, byte[][] namesAndValues) throws IOException {
        List<String> hex = new ArrayList<>();
        List<String> texts = new ArrayList<>();
        for (int i = 0; i < namesAndValues.length; i += 2) {
            hex.add(String.format("[\"%s\", \"%s\"]", HEX.formatHex(namesAndValues[i]), HEX.formatHex(namesAndValues[i + 1])));
            texts.add(decode(namesAndValues[i]));
            texts.add(decode(namesAndValues[i + 1]));
        }
        String json = object(texts);
        return String.format("{\"name\": \"%s\", \"fields\": [%s], \"json\": \"%s\", %s}", name, String.join(", ", hex),
            HEX.formatHex(json.getBytes(StandardCharsets.UTF_8)), result(json));
    }

    /** The object that Jackson writes, which keeps duplicates. */
    private static String object(List<String> namesAndValues) throws IOException {
        StringWriter out = new StringWriter();
        try (JsonGenerator json = JACKSON.createGenerator(out)) {
            json.writeStartObject();
            for (int i = 0; i < namesAndValues.size(); i += 2) {
                json.writeStringField(namesAndValues.get(i), namesAndValues.get(i + 1));
            }
            json.writeEndObject();
        }
        return out.toString();
    }

    // --- Values: an object, the JSON that Jackson makes of it, which is the one field "data" of its
    // entry, and the hash and partitions of that, which are the entry's where it has no key.

    public record Order(String id, int n, boolean paid, String note) {}

    private static List<String> values() throws IOException {
        List<String> out = new ArrayList<>();
        out.add(value("plain", new Order("4711", 7, true, "gift")));
        out.add(value("zero values", new Order("", 0, false, null)));
        out.add(value("negative", new Order("a", Integer.MIN_VALUE, false, "")));
        out.add(value("no HTML escaping", new Order("<a href='x'>&</a>", 1, true, "<>&")));
        out.add(value("escapes", new Order("say \"hi\"", 1, true, "C:\\temp\b\f\n\r\t")));
        out.add(value("control characters", new Order("\u0001", 1, true, "\u0019")));
        out.add(value("non-ASCII", new Order("größe", 1, true, "水 \uD83D\uDE00")));
        out.add(value("DEL and C1", new Order("\u007F", 1, true, "\u0080\u009F")));
        return out;
    }

    private static String value(String name, Order order) throws IOException {
        String json = JACKSON.writeValueAsString(order);
        return String.format("{\"name\": \"%s\", \"id\": \"%s\", \"n\": %d, \"paid\": %b, \"note\": %s, \"json\": \"%s\", %s}", name,
            hex(order.id()), order.n(), order.paid(), order.note() == null ? "null" : '"' + hex(order.note()) + '"',
            hex(json), result(json));
    }

    // --- Differences: values that Jackson and Go's encoding/json write each in their own way.

    private static List<String> differences() throws IOException {
        List<String> out = new ArrayList<>();
        out.add(difference("a whole double", 3.0));
        out.add(difference("a large double", 1e7));
        out.add(difference("line separators", "\u2028\u2029"));
        out.add(difference("a control character with a letter in its number", "\u001F"));
        return out;
    }

    private static String difference(String name, Object value) throws IOException {
        return String.format("{\"name\": \"%s\", \"json\": \"%s\"}", name, hex(JACKSON.writeValueAsString(value)));
    }

    private static String hex(String text) {
        return HEX.formatHex(text.getBytes(StandardCharsets.UTF_8));
    }

    // --- Sweeps: every string of n boundary bytes, folded into one number.

    private static List<String> sweeps() {
        List<String> out = new ArrayList<>();
        for (String suffix : new String[] {"", "41", "80"}) {
            for (int n = 1; n <= 4; n++) {
                out.add(String.format("{\"length\": %d, \"suffix\": \"%s\", \"digest\": %d}", n, suffix, sweep(n, HEX.parseHex(suffix))));
            }
        }
        return out;
    }

    /** The first byte of a string varies slowest. digest = 31 * digest + hash. */
    private static int sweep(int n, byte[] suffix) {
        byte[] alphabet = HEX.parseHex(BOUNDARY_BYTES);
        byte[] bytes = new byte[n + suffix.length];
        System.arraycopy(suffix, 0, bytes, n, suffix.length);
        int digest = 0;
        int total = (int) Math.pow(alphabet.length, n);
        for (int number = 0; number < total; number++) {
            int rest = number;
            for (int i = n - 1; i >= 0; i--) {
                bytes[i] = alphabet[rest % alphabet.length];
                rest /= alphabet.length;
            }
            digest = 31 * digest + decode(bytes).hashCode();
        }
        return digest;
    }

    // --- What is under test, and JSON.

    private static String decode(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private static String result(String text) {
        int hash = text.hashCode();
        int[] partitions = IntStream.of(COUNTS).map(n -> Math.abs(hash) % n).toArray();
        return String.format("\"hash\": %d, \"partitions\": %s", hash, ints(partitions));
    }

    private static String ints(int[] values) {
        return IntStream.of(values).mapToObj(Integer::toString).collect(Collectors.joining(", ", "[", "]"));
    }

    private static String array(List<String> lines) {
        return lines.stream().collect(Collectors.joining(",\n    ", "[\n    ", "\n  ]"));
    }
}
