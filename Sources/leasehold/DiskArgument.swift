import ArgumentParser
import EmulatorCommandLine
import Platform

/// A disk as it was named on the command line.
struct DiskArgument {
    /// What a supervisor is told: a path of this host from / on, another disk as it was given.
    let name: String
    /// What leases go by.
    let path: String

    /// Reads a name, a relative path in the working directory.
    init(_ text: String) throws {
        if text.isEmpty { throw ValidationError("a disk's path can't be empty") }
        do throws(NamedDisk.Problem) {
            let disk = try NamedDisk(text, in: Directory.current)
            path = disk.path
            name = disk.isRemote ? text : disk.path
        } catch {
            throw ValidationError("'\(text.printable)' is no disk's name: \(error.reason)")
        }
    }
}
