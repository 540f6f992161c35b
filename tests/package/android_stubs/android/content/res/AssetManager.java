package android.content.res;

import java.io.File;
import java.io.FileNotFoundException;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;

/** Fake: reads files of folders, as source sets are merged into one APK. */
public final class AssetManager {
    private final File[] roots;

    public AssetManager(File... roots) {
        this.roots = roots;
    }

    public InputStream open(String name) throws IOException {
        return new FileInputStream(find(name));
    }

    public AssetFileDescriptor openFd(String name) throws IOException {
        return new AssetFileDescriptor(find(name));
    }

    private File find(String name) throws IOException {
        for (File root : roots) {
            File file = new File(root, name);
            if (file.isFile()) {
                return file;
            }
        }
        throw new FileNotFoundException(name);
    }
}
