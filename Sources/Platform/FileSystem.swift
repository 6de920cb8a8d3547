import CPlatform
import Glibc

/// The file system that a path is on. Source: `man 2 statfs`, `man 5 proc_pid_mountinfo`.
public struct FileSystem: Sendable {
    /// The number that tells its kind.
    public let magic: Int64
    /// Whether it is mounted read-only.
    public let isReadOnly: Bool
    /// What users other than root can still write, in bytes; nil where it has no limit of its own.
    public let freeBytes: Int64?
    /// How many more files it has room for; nil where it doesn't count them.
    public let freeFiles: Int64?
    /// What the mount table calls its kind, such as `nfs4` or `fuse.glusterfs`; nil where it isn't found there.
    public let kind: String?
    /// The options that it is mounted with.
    public let options: [String]

    /// Looks. Blocks for as long as the file system doesn't answer.
    public init(at path: String) throws(SystemError) {
        var found = leasehold_file_system()
        try checked("statfs", on: path) { leasehold_file_system_at(path, &found) }
        magic = found.magic
        isReadOnly = found.is_read_only
        freeBytes = found.blocks == 0 ? nil : Int64(clamping: found.free_bytes)
        freeFiles = found.files == 0 ? nil : Int64(clamping: found.free_files)
        let table = (try? Files.read("/proc/self/mountinfo", limit: 1 << 20)) ?? []
        let device = "\(found.device_major):\(found.device_minor)"
        let mount = FileSystem.mount(of: device, in: String(decoding: table, as: UTF8.self))
        kind = mount?.kind
        options = mount?.options ?? []
    }

    /// The kind and options of the file system with a device number, in the text of a mount table; the one mounted last.
    static func mount(of device: String, in table: String) -> (kind: String, options: [String])? {
        for line in table.split(separator: "\n").reversed() {
            let fields = line.split(separator: " ")
            // The number of fields before the hyphen varies.
            guard fields.count > 6, fields[2] == device, let hyphen = fields[6...].firstIndex(of: "-"),
                fields.count > hyphen + 3
            else { continue }
            let options = [fields[5], fields[hyphen + 3]].flatMap { $0.split(separator: ",") }
            return (String(fields[hyphen + 1]), options.map(String.init))
        }
        return nil
    }
}
