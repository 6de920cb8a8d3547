import CPlatform
import Glibc

extension Clock {
    /// Whether something keeps the wall clock right, as far as the kernel was told; nil where it doesn't say. Source:
    /// `man 2 adjtimex`.
    public static var isKept: Bool? {
        var kept = false
        return leasehold_clock_is_kept(&kept) == 0 ? kept : nil
    }
}
