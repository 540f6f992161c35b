package ai.onnxruntime;

import java.nio.ByteBuffer;

/** Fake of ONNX Runtime's: holds the bytes. */
public class OnnxTensor extends OnnxTensorLike {
    private final byte[] values;

    OnnxTensor(byte[] values) {
        this.values = values;
    }

    public static OnnxTensor createTensor(OrtEnvironment env, ByteBuffer data, long[] shape, OnnxJavaType type)
            throws OrtException {
        long size = 1;
        for (long n : shape) {
            size *= n;
        }
        if (size != data.remaining()) {
            throw new OrtException("Shape " + size + " requires other bytes than " + data.remaining());
        }
        byte[] values = new byte[data.remaining()];
        data.duplicate().get(values);
        return new OnnxTensor(values);
    }

    public ByteBuffer getByteBuffer() {
        return ByteBuffer.wrap(values.clone());
    }

    @Override
    public void close() {
    }
}
