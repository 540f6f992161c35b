package android.app;

/** Declarations of JUnit 4 and AndroidX Test that the instrumentation tests use. */
public class Instrumentation {
    public android.content.Context getTargetContext() {
        throw new UnsupportedOperationException("there is no device");
    }
}
