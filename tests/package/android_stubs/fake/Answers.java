package fake;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;

/** Fake of every runtime's arithmetic: the answers it gives are told to it. */
public final class Answers {
    private static final Map<ByteBuffer, byte[]> KNOWN = new HashMap<>();

    private Answers() {
    }

    public static void tell(byte[] input, byte[] answer) {
        KNOWN.put(ByteBuffer.wrap(input.clone()), answer.clone());
    }

    public static byte[] to(byte[] input) {
        byte[] answer = KNOWN.get(ByteBuffer.wrap(input));
        if (answer == null) {
            throw new IllegalStateException("the fake runtime was told no answer to this input");
        }
        return answer;
    }
}
