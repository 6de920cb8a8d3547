import Glibc
import Platform

extension Leftover {
    /// What is left of guests whose supervisor was killed. Nothing is ended.
    ///
    /// Under the lock that starts take, so that a start in progress is not mistaken for one.
    /// - Throws: EWOULDBLOCK where that lock wasn't had within a second.
    public static func all(in directory: RunDirectory) throws(SystemError) -> [Leftover] {
        guard try Files.kind(of: directory.guests) != nil else { return [] }
        let section = try SectionLock(on: directory.guests, waitingSeconds: 1)
        defer { _ = section }
        return directory.guestDirectories().compactMap { $0.hasLivingSupervisor ? nil : Leftover($0) }
    }
}
