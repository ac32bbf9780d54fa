package interop;

import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.SequenceInputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import javax.activation.DataSource;

/** A document that is made anew, with the same bytes, each time it is read; never held in memory. */
record Sample(String name, String mimeType, byte[] head, long middle, byte[] tail) implements DataSource {
    private static final byte[] LINE_END = {'\r', '\n'};

    static final List<Sample> SMALL = List.of(
            new Sample("0 bytes", "text/plain", new byte[0], 0, new byte[0]),
            new Sample("1 byte", "application/octet-stream", new byte[] {0}, 0, new byte[0]),
            new Sample("CR LF alone", "text/plain", LINE_END, 0, new byte[0]),
            new Sample("CR LF at both ends", "text/plain", "\r\n\r\nText\r\n".getBytes(StandardCharsets.US_ASCII), 0, LINE_END),
            new Sample("delimiter-like lines", "text/plain", "\r\n--uuid:\r\n--".getBytes(StandardCharsets.US_ASCII), 0, LINE_END),
            new Sample("70 kB", "application/pdf", LINE_END, 70_000, LINE_END));
    static final Sample LARGE = new Sample("50 MB", "application/dicom", LINE_END, 50_000_000, LINE_END);

    @Override
    public InputStream getInputStream() {
        return new SequenceInputStream(Collections.enumeration(List.of(
                new ByteArrayInputStream(head), new RandomStream(middle), new ByteArrayInputStream(tail))));
    }

    long size() {
        return head.length + middle + tail.length;
    }

    String sha1() throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-1");
        try (InputStream in = getInputStream()) {
            byte[] chunk = new byte[65536];
            for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
                digest.update(chunk, 0, n);
            }
        }
        return Ebrim.hex(digest.digest());
    }

    @Override
    public String getContentType() {
        return mimeType;
    }

    @Override
    public String getName() {
        return name;
    }

    @Override
    public OutputStream getOutputStream() {
        throw new UnsupportedOperationException();
    }

    private static final class RandomStream extends InputStream {
        private final SplittableRandom random = new SplittableRandom(4711);
        private long left;

        RandomStream(long size) {
            left = size;
        }

        @Override
        public int read() {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] target, int offset, int length) {
            if (left == 0) {
                return -1;
            }
            int n = (int) Math.min(length, left);
            for (int at = offset; at < offset + n; at++) {
                target[at] = (byte) random.nextInt();
            }
            left -= n;
            return n;
        }
    }
}
