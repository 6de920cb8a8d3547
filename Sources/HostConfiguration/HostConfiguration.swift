import Configuration
import Glibc
import Platform

/// The configuration file of this host, found and read.
public struct HostConfiguration: Sendable {
    /// The settings in it.
    public let settings: Configuration
    private let path: String
    private let text: String

    /// The file that is read where none is named, and that may be missing.
    public static let defaultFile = "/etc/leasehold/leasehold.conf"
    private static let longestBytes = 1 << 20

    /// What is wrong with it: one line.
    public struct Problem: Error, Sendable {
        /// Without the program's name in front.
        public let text: String
    }

    /// Reads the file that was named, by an option or by `LEASEHOLD_CONFIG`, else the default one.
    public init(named option: String?) throws(Problem) {
        let named = option ?? getenv("LEASEHOLD_CONFIG").map { String(cString: $0) }
        path = named ?? HostConfiguration.defaultFile
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try Files.read(path, limit: HostConfiguration.longestBytes + 1)
        } catch {
            guard named == nil, error.number == ENOENT else { throw Problem(text: "configuration \(error.message)") }
            settings = Configuration()
            text = ""
            return
        }
        let allowed = "allowed is a file of key = value lines"
        guard bytes.count <= HostConfiguration.longestBytes else {
            throw Problem(text: "configuration \(path): longer than 1 MiB; \(allowed)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Problem(text: "configuration \(path): not UTF-8 text; \(allowed)")
        }
        self.text = text
        do throws(ConfigurationError) { settings = try Configuration(parsing: text, path: path) } catch {
            throw Problem(text: error.message)
        }
    }

    /// The number of the user that the file names; nil where it names none.
    public func user() throws(Problem) -> UInt32? {
        guard let name = settings.user else { return nil }
        if let number = UInt32(name) { return number }
        guard let entry = getpwnam(name) else { throw missing("user", name) }
        return entry.pointee.pw_uid
    }

    /// The number of the group that the file names; nil where it names none.
    public func group() throws(Problem) -> UInt32? {
        guard let name = settings.group else { return nil }
        if let number = UInt32(name) { return number }
        guard let entry = getgrnam(name) else { throw missing("group", name) }
        return entry.pointee.gr_gid
    }

    private func missing(_ key: String, _ name: String) -> Problem {
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        let line = (lines.firstIndex { $0.drop { $0 == " " || $0 == "\t" }.utf8.starts(with: key.utf8) } ?? 0) + 1
        return Problem(
            text:
                "\(path):\(line): \(key): there is no \(key) '\(name)' on this host; allowed is the name or number of one"
        )
    }
}
