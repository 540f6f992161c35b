package org.tensorflow.lite;

/** Declarations of com.google.ai.edge.litert:litert that the module uses. */
public interface InterpreterApi extends AutoCloseable {
    class Options {
        public Options setNumThreads(int numThreads) {
            return this;
        }

        public Options addDelegate(Delegate delegate) {
            return this;
        }
    }

    void run(Object input, Object output);

    @Override
    void close();
}
