package ai.onnxruntime;

import java.nio.ByteBuffer;

/** Fake of ONNX Runtime's: makes sessions of direct buffers only, as the real one. */
public final class OrtEnvironment implements AutoCloseable {
    private static final OrtEnvironment ONE = new OrtEnvironment();

    public static OrtEnvironment getEnvironment() {
        return ONE;
    }

    public OrtSession createSession(ByteBuffer modelBuffer, OrtSession.SessionOptions options) throws OrtException {
        if (!modelBuffer.isDirect()) {
            throw new OrtException("ByteBuffer is not direct.");
        }
        return new OrtSession();
    }

    @Override
    public void close() {
    }
}
