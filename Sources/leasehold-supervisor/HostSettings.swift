import Configuration
import Glibc
import Platform
import SanlockLeases

/// The settings in force on this host: the configuration file's, and what follows from them.
struct HostSettings {
    let configuration: Configuration

    static let defaultFile = "/etc/leasehold/leasehold.conf"
    private static let longestFileBytes = 1 << 20

    /// What is wrong with the settings: one line.
    struct Problem: Error {
        let text: String
    }

    /// Reads the file that was named, by the option or by `LEASEHOLD_CONFIG`, else the default one, which may be missing.
    init(named option: String?) throws(Problem) {
        let named = option ?? getenv("LEASEHOLD_CONFIG").map { String(cString: $0) }
        let path = named ?? HostSettings.defaultFile
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try Files.read(path, limit: HostSettings.longestFileBytes + 1)
        } catch {
            guard named == nil, error.number == ENOENT else {
                throw Problem(text: "configuration \(error.message)")
            }
            configuration = Configuration()
            return
        }
        guard bytes.count <= HostSettings.longestFileBytes else {
            throw Problem(text: "configuration \(path): longer than 1 MiB; allowed is a file of key = value lines")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Problem(text: "configuration \(path): not UTF-8 text; allowed is a file of key = value lines")
        }
        do throws(ConfigurationError) {
            configuration = try Configuration(parsing: text, path: path)
        } catch {
            throw Problem(text: error.message)
        }
    }

    /// What the sanlock driver needs of them.
    func sanlock() throws(Problem) -> SanlockSettings {
        var directory = configuration.diskLeaseDirectory
        while directory.count > 1, directory.hasSuffix("/") { directory.removeLast() }
        return SanlockSettings(
            leaseDirectory: directory, hostId: configuration.hostId.map { UInt64($0) },
            ioTimeoutSeconds: UInt32(configuration.ioTimeoutSeconds), leaseHosts: Int32(configuration.leaseHosts),
            fileUser: try configuration.user.map { name throws(Problem) in try user(name) },
            fileGroup: try configuration.group.map { name throws(Problem) in try group(name) })
    }

    private func user(_ name: String) throws(Problem) -> UInt32 {
        if let number = UInt32(name) { return number }
        guard let entry = getpwnam(name) else {
            throw Problem(text: "configuration: user: there is no user '\(name)' on this host; give one, or a number")
        }
        return entry.pointee.pw_uid
    }

    private func group(_ name: String) throws(Problem) -> UInt32 {
        if let number = UInt32(name) { return number }
        guard let entry = getgrnam(name) else {
            throw Problem(text: "configuration: group: there is no group '\(name)' on this host; give one, or a number")
        }
        return entry.pointee.gr_gid
    }
}
