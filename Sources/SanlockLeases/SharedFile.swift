import Glibc
import Platform

/// Files of the lease directory as this process may use them: where root is nobody (NFS with root_squash) only with the
/// daemon's rights.
enum SharedFile {
    /// Bytes past every cache; see `Files.readDirect`.
    static func read(_ path: String, offset: Int64, count: Int) throws(SystemError) -> [UInt8] {
        let failure: SystemError
        do throws(SystemError) { return try Files.readDirect(path, offset: offset, count: count) } catch {
            failure = error
        }
        // Only root can take another's rights.
        guard failure.number == EACCES, geteuid() == 0, let daemon = DaemonProcess() else { throw failure }
        return try Files.readDirect(
            path, offset: offset, count: count, asUser: daemon.user, group: daemon.group)
    }
}
