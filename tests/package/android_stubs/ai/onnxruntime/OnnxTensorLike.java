package ai.onnxruntime;

/** Declarations of com.microsoft.onnxruntime:onnxruntime-android that the module uses. */
public abstract class OnnxTensorLike implements OnnxValue {
}
