package androidx.test.ext.junit.runners;

/** Declarations of JUnit 4 and AndroidX Test that the instrumentation tests use. */
public final class AndroidJUnit4 extends org.junit.runner.Runner {
}
