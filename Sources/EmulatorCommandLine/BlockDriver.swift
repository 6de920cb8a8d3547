/// What a block driver of QEMU opens.
enum BlockDriver: Equatable {
    /// A path of this host under `key`.
    case local(key: String, isReadOnly: Bool)
    /// A folder, shown to the guest as a FAT disk.
    case folder
    case network(NetworkProtocol)
    /// A PCI disk, driven without the host's kernel.
    case pci
    /// No disk at all.
    case nothing
    /// Other nodes. Only through some can a disk be shared: an image format other than raw keeps its own tables, which
    /// two guests can't both change, and QEMU's own locks refuse it too.
    case nodes(passSharing: Bool)

    init?(named name: String) {
        guard let driver = BlockDriver.all[name] else { return nil }
        self = driver
    }

    /// Whether `file=` of `-drive` is this driver's own file name and not that of a node below it.
    var isProtocol: Bool {
        if case .nodes = self { false } else { true }
    }

    private static let all: [String: BlockDriver] = {
        var all: [String: BlockDriver] = [
            "file": .local(key: "filename", isReadOnly: false),
            "host_device": .local(key: "filename", isReadOnly: false),
            "host_cdrom": .local(key: "filename", isReadOnly: true),
            "io_uring": .local(key: "filename", isReadOnly: false),
            "nvme-io_uring": .local(key: "path", isReadOnly: false),
            "virtio-blk-vfio-pci": .local(key: "path", isReadOnly: false),
            "virtio-blk-vhost-user": .local(key: "path", isReadOnly: false),
            "virtio-blk-vhost-vdpa": .local(key: "path", isReadOnly: false),
            "vvfat": .folder, "nvme": .pci, "null-co": .nothing, "null-aio": .nothing,
        ]
        for kind in NetworkProtocol.allCases {
            for name in kind.drivers { all[name] = .network(kind) }
        }
        let filters = [
            "raw", "throttle", "copy-on-read", "preallocate", "compress", "blkdebug", "blkverify", "blklogwrites",
            "blkreplay",
            "quorum", "replication", "copy-before-write", "snapshot-access", "luks",
        ]
        for name in filters { all[name] = .nodes(passSharing: true) }
        let formats = ["qcow2", "qcow", "qed", "vmdk", "vhdx", "vpc", "vdi", "parallels", "dmg", "cloop", "bochs"]
        for name in formats { all[name] = .nodes(passSharing: false) }
        return all
    }()

    /// The keys under which drivers take nodes, other than `backing` and the list `children`.
    static let nodeKeys = ["file", "data-file", "header", "image", "test", "raw", "log", "target"]

    /// The name of the driver that a file name with this protocol in front is opened by.
    static func name(ofProtocol name: String) -> String? {
        switch name {
        case "fat": return "vvfat"
        case "blkdebug", "blkverify": return name
        default: break
        }
        for kind in NetworkProtocol.allCases where kind.schemes.contains(name) {
            return kind.drivers.contains(name) ? name : kind.drivers.first
        }
        guard let driver = all[name], driver.isProtocol, name != "vvfat" else { return nil }
        return name
    }
}

/// The protocol in front of a file name (`path_has_protocol`): what is before a colon that no slash is before.
func protocolName(of fileName: String) -> String? {
    let bytes = fileName.bytes
    guard let end = bytes.firstIndex(where: { $0 == .colon || $0 == .slash }), bytes[end] == .colon else { return nil }
    return bytes[bytes.startIndex..<end].text
}

/// The absolute path of `path`, for a command that runs in `folder`.
/// - Parameter folder: nil where it isn't known.
/// - Throws: where the path means something only inside the process that opens it, or isn't there.
func absolutePath(_ path: String, in folder: String?) throws(Refusal) -> String {
    guard !path.isEmpty else { throw Refusal("the disk's path is empty") }
    // What isn't UTF-8 in an argument has become U+FFFD on its way here, and would be hashed as such.
    guard !path.unicodeScalars.contains("\u{fffd}") else { throw Refusal("the disk's path is not UTF-8") }
    guard !isDescriptor(path) else { throw Refusal("a file descriptor doesn't say which disk it is") }
    if path.begins(with: "/") { return path }
    guard let folder else { throw Refusal("the path is relative to a folder that isn't known") }
    return folder + "/" + path
}

private func isDescriptor(_ path: String) -> Bool {
    guard path.begins(with: "/") else { return false }
    let names = path.utf8.split(separator: .slash).filter { !$0.elementsEqual(".".utf8) }.map { String($0) ?? "" }
    guard names.count >= 2 else { return false }
    switch names[0] {
    case "dev": return ["fd", "fdset", "stdin", "stdout", "stderr"].contains(names[1])
    case "proc": return names.contains("fd")
    default: return false
    }
}
