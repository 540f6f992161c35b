package ai.onnxruntime;

/** Declarations of com.microsoft.onnxruntime:onnxruntime-android that the module uses. */
public class OrtException extends Exception {
    public OrtException(String message) {
        super(message);
    }
}
