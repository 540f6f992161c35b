package org.tensorflow.lite;

import java.io.Closeable;

/** Declarations of com.google.ai.edge.litert:litert that the module uses. */
public interface Delegate extends Closeable {
    long getNativeHandle();

    @Override
    default void close() {
    }
}
