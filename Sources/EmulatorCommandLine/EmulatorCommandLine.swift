/// What a command line says of the guest it starts, and above all which disks that guest opens.
///
/// A disk option that can't be read is an error; an option that by its kind can't open a disk is passed over, known or not.
/// Everything here errs towards `exclusive`: a lease too many keeps a guest from starting, one too few destroys data.
///
/// Not seen, as it isn't in the command line: backing files and external data files named in an image's header only, a
/// VMDK's extents, what a `-device vhost-user-blk` or `vfio-pci` reaches, and whatever is plugged in later.
public struct EmulatorCommandLine: Sendable, Equatable {
    /// The file name is `qemu-system-*`, `qemu-kvm` or `kvm`, behind any of the known launchers. Where it isn't, nothing else
    /// is known.
    public var isEmulator: Bool
    /// The disks, each once, in order of first appearance; of several uses the strongest: exclusive, shared, read-only.
    public var disks: [DiskUse]
    /// `-name`.
    public var guestName: String?
    /// `-uuid`, as given.
    public var guestUUID: String?
    /// Whether the guest goes into the background: `-daemonize`.
    public var lifetime: Lifetime
    /// The guest waits for a migration: `-incoming`.
    public var isIncoming: Bool

    /// Reads a command line. Opens nothing but what QEMU reads its options from.
    /// - Parameters:
    ///   - arguments: the command and its arguments, the command's own name first.
    ///   - workingDirectory: the absolute path of the folder the command is started in.
    ///   - readFile: returns the text of a file: one of `-readconfig`, and, without `-no-user-config`, QEMU's own
    ///     `/etc/qemu/qemu.conf` and its like, where throwing means there is none. May be called with paths that don't exist.
    /// - Throws: ``CommandLineError``, on the first option whose disk isn't known.
    public init(
        arguments: [String], workingDirectory: String, readFile: (String) throws -> String
    ) throws(CommandLineError) {
        let command = try LaunchedCommand(arguments, folder: workingDirectory)
        isEmulator = command.isEmulator
        disks = []
        lifetime = .unknown
        isIncoming = false
        guard isEmulator else { return }

        var options = OptionWalk(folder: command.folder)
        try options.readOwnConfiguration(of: command.arguments, readFile: readFile)
        try options.walk(command.arguments.dropFirst(), readFile: readFile)
        guestName = options.guestName
        guestUUID = options.guestUUID
        lifetime = options.daemonizes ? .daemonizes : .staysInForeground
        isIncoming = options.isIncoming
        disks = EmulatorCommandLine.distinct(try options.disks())
    }

    private static func distinct(_ uses: [DiskUse]) -> [DiskUse] {
        var result: [DiskUse] = []
        var places: [[UInt8]: Int] = [:]
        for use in uses {
            // Equal strings may differ in their bytes, and files go by bytes.
            let key = Array(use.path.utf8)
            if let place = places[key] {
                if use.mode.strength > result[place].mode.strength { result[place] = use }
            } else {
                places[key] = result.count
                result.append(use)
            }
        }
        return result
    }
}
