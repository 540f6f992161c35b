package org.tensorflow.lite;

import java.nio.ByteBuffer;

/** Fake of LiteRT's: checks what the real one refuses, and answers what fake.Answers was told. */
public final class Interpreter implements InterpreterApi {
    public static class Options extends InterpreterApi.Options {
        @Override
        public Options setNumThreads(int numThreads) {
            return this;
        }

        @Override
        public Options addDelegate(Delegate delegate) {
            return this;
        }

        public Options setUseXNNPACK(boolean useXNNPACK) {
            return this;
        }
    }

    public Interpreter(ByteBuffer byteBuffer, Options options) {
        if (!byteBuffer.isDirect()) {
            throw new IllegalArgumentException("Model ByteBuffer should be either a MappedByteBuffer of the model file, or a direct ByteBuffer");
        }
    }

    @Override
    public void run(Object input, Object output) {
        ByteBuffer from = (ByteBuffer) input;
        ByteBuffer to = (ByteBuffer) output;
        byte[] values = new byte[from.remaining()];
        from.get(values);
        to.put(fake.Answers.to(values));
    }

    @Override
    public void close() {
    }
}
