import Glibc
import Platform

/// A lease that was removed and is made again begins with a version that it never had: who remembers one (a guest that gave
/// its lease back for a while) must not meet it again, and what a daemon writes late of the old lease must count as old.
///
/// `.leasehold/highest-version` is the highest version that any lease had that a clean-up removed.
struct LeaseVersions {
    let settings: SanlockSettings

    /// The section in which the number is raised.
    static let section = "highest-version"

    private static let most: UInt64 = 1 << 48

    private var path: String { "\(settings.recordDirectory)/highest-version" }

    /// The number; 0 where no lease was ever removed.
    func highest() -> UInt64 {
        let text = (try? Files.read(path, limit: 32)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let number = UInt64(text.prefix { $0 != "\n" }) ?? 0
        // Not believed unchecked: versions must not come to their end.
        return number < LeaseVersions.most ? number : 0
    }

    /// Raises it, by whoever has its section.
    func raise(to version: UInt64) throws(SystemError) {
        guard version > highest() else { return }
        try Files.writeWhole(Array("\(version)\n".utf8), to: path)
    }

    /// Sets the first version of a lease that was made aside just now.
    func begin(_ aside: String) throws(SanlockCode) {
        let highest = highest()
        if highest == 0 { return }
        // Who still takes the removed one adds 1 to its version before he notices.
        let first = highest + 1000
        do throws(SystemError) {
            let bytes = try SharedFile.read(aside, offset: 0, count: 4096)
            guard bytes.count == 4096 else { throw SystemError("read", on: aside, number: EIO) }
            try Files.writeDirect(LeaseContent.setting(version: first, in: bytes), to: aside)
        } catch {
            throw SanlockCode(number: -error.number)
        }
    }
}
