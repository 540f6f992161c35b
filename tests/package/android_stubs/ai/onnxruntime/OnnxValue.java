package ai.onnxruntime;

/** Declarations of com.microsoft.onnxruntime:onnxruntime-android that the module uses. */
public interface OnnxValue extends AutoCloseable {
    @Override
    void close();
}
