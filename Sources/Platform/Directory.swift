import Glibc

/// The working directory.
public enum Directory {
    /// Its path; `/` where it was removed.
    public static var current: String {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }
}
