import Glibc

extension OwnProcess {
    /// How much of its memory the process may keep from being paged out, in bytes; nil: all of it. Source: `man 2
    /// getrlimit`, RLIMIT_MEMLOCK.
    public static var lockableBytes: Int64? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit) == 0, limit.rlim_cur != rlim_t.max
        else { return nil }
        return Int64(clamping: limit.rlim_cur)
    }
}
