package org.junit;

/** Declarations of JUnit 4 and AndroidX Test that the instrumentation tests use. */
@java.lang.annotation.Retention(java.lang.annotation.RetentionPolicy.RUNTIME)
public @interface Test {
}
