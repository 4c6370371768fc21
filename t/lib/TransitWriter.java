/*
 * TransitWriter.java - a body as the Java client of the Import API writes it, by Maven's transit-java: java TransitWriter CLIENT_ID N > body. Keys come in the
 * order of a HashMap, table_version is 0 when there is none, and there is a namespace. t/lib/transit-client.py knows what must become of it.
 */
import com.cognitect.transit.TransitFactory;
import java.io.ByteArrayOutputStream;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Date;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

public class TransitWriter {
	static final long T0 = 1709164770000L; // 2024-02-28T23:59:30Z

	static Map<Object, Object> data(long i) {
		Map<Object, Object> d = new LinkedHashMap<>();
		Map<Object, Object> nested = new HashMap<>();
		Map<Object, Object> byList = new LinkedHashMap<>();

		nested.put("a", i);
		nested.put("^caret", 2);
		nested.put("\ud83d\ude00ab", 3);
		nested.put("when", new Date(T0));
		byList.put(Arrays.asList(1L), "x");
		d.put("id", i);
		d.put("above_53", (1L << 53) + i);
		d.put("huge", BigInteger.ONE.shiftLeft(70).add(BigInteger.valueOf(i)));
		d.put("price", BigDecimal.valueOf(i * 7 - 1000, 2));
		d.put("double", i * 0.25 - 7);
		d.put("nan_or_not", i % 2 == 0 ? 1.5 : i % 4 == 1 ? Double.NaN : Double.NEGATIVE_INFINITY);
		d.put("made_at", new Date(T0 + i * 977));
		d.put("uid", new UUID(i, i));
		d.put("blob", new byte[] {1, 2, 3});
		d.put("note", "~h\u00e9llo \ud83d\ude00 \u6f22\u5b57 " + i);
		d.put("letter", 'c');
		d.put("keyword", TransitFactory.keyword("kw" + i % 50));
		d.put("nothing", i % 2 == 0 ? "something" : null);
		d.put("yes", i % 3 == 0);
		d.put("nested", nested);
		d.put("list", Arrays.asList(i, "two", null, new BigDecimal("1.50")));
		d.put("tags", new HashSet<Object>(Collections.singleton(i)));
		d.put("by_list", byList);
		d.put("wide", null);
		if (i % 500 == 0) {
			// more keys than the cache has places
			Map<Object, Object> wide = new HashMap<>();
			for (int k = 0; k < 3000; k++)
				wide.put(String.format("wide_%04d", k), k);
			d.put("wide", wide);
		}
		return d;
	}

	public static void main(String[] args) throws Exception {
		ByteArrayOutputStream out = new ByteArrayOutputStream();
		List<Object> messages = new ArrayList<>();
		long n = Long.parseLong(args[1]);

		for (long i = 0; i < n; i++) {
			Map<Object, Object> m = new HashMap<>();
			m.put("client_id", Integer.parseInt(args[0]));
			m.put("namespace", "ns");
			m.put("table_name", "from_java");
			m.put("table_version", 0L);
			m.put("action", "upsert");
			m.put("sequence", 1700000000000000000L + i);
			m.put("key_names", Arrays.asList("id"));
			m.put("data", data(i));
			messages.add(m);
		}
		TransitFactory.writer(TransitFactory.Format.JSON, out).write(messages);
		out.writeTo(System.out);
		System.out.flush();
	}
}
