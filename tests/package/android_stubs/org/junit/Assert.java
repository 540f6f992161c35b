package org.junit;

/** Declarations of JUnit 4 and AndroidX Test that the instrumentation tests use. */
public class Assert {
    public static void assertTrue(String message, boolean condition) {
    }

    public static void assertTrue(boolean condition) {
    }

    public static void assertEquals(Object expected, Object actual) {
    }

    public static void assertEquals(long expected, long actual) {
    }
}
