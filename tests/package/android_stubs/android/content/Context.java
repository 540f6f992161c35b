package android.content;

import android.content.res.AssetManager;

/** Fake: an app whose assets are folders. */
public class Context {
    private final AssetManager assets;

    public Context(java.io.File... roots) {
        assets = new AssetManager(roots);
    }

    public AssetManager getAssets() {
        return assets;
    }
}
