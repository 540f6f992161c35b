package ai.onnxruntime;

/** Declarations of com.microsoft.onnxruntime:onnxruntime-android that the module uses. */
public enum OnnxJavaType { FLOAT, DOUBLE, INT8, INT16, INT32, INT64, BOOL, STRING, UINT8, UNKNOWN }
