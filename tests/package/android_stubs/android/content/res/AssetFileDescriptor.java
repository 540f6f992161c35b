package android.content.res;

import java.io.Closeable;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.IOException;

/** Fake: a file of its own, so the asset starts at 0. */
public class AssetFileDescriptor implements Closeable {
    private final FileInputStream stream;
    private final long length;

    public AssetFileDescriptor(File file) throws IOException {
        stream = new FileInputStream(file);
        length = file.length();
    }

    public FileDescriptor getFileDescriptor() {
        try {
            return stream.getFD();
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    public long getStartOffset() {
        return 0;
    }

    public long getDeclaredLength() {
        return length;
    }

    @Override
    public void close() throws IOException {
        stream.close();
    }
}
