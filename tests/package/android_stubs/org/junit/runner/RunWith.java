package org.junit.runner;

/** Declarations of JUnit 4 and AndroidX Test that the instrumentation tests use. */
public @interface RunWith {
    Class<? extends Runner> value();
}
