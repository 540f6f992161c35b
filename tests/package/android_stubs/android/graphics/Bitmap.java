package android.graphics;

/** Fake: pixels in an array. */
public final class Bitmap {
    public enum Config { ALPHA_8, RGB_565, ARGB_8888, HARDWARE }

    private final Config config;
    private final int width;
    private final int[] argb;

    public Bitmap(Config config, int width, int[] argb) {
        this.config = config;
        this.width = width;
        this.argb = argb;
    }

    public Config getConfig() {
        return config;
    }

    public int getWidth() {
        return width;
    }

    public int getHeight() {
        return argb.length / width;
    }

    public Bitmap copy(Config to, boolean isMutable) {
        return new Bitmap(to, width, argb);
    }

    public void getPixels(int[] pixels, int offset, int stride, int x, int y, int width, int height) {
        if (config == Config.HARDWARE) {
            throw new IllegalStateException("unable to getPixels(), pixel access is not supported on Config#HARDWARE bitmaps");
        }
        for (int row = 0; row < height; row++) {
            System.arraycopy(argb, (y + row) * this.width + x, pixels, offset + row * stride, width);
        }
    }
}
