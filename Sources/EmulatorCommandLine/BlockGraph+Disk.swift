extension BlockGraph {
    /// The disk that a driver without nodes below it opens; nil where it opens none.
    mutating func disk(
        of kind: BlockDriver, _ driver: String, _ options: OptionObject, _ fileName: String?, _ isReadOnly: Bool,
        _ source: Source
    ) throws(Refusal) -> DiskUse? {
        var isReadOnly = isReadOnly
        let path: String
        var isNetwork = false
        switch kind {
        case .nodes, .nothing:
            return nil
        case .local(let key, let never):
            isReadOnly = isReadOnly || never
            let given = options.text(key) ?? (key == "path" ? options.text("filename") : nil)
            guard fileName == nil || given == nil else { throw Refusal("'file' and '\(key)' are both given") }
            guard let name = given ?? fileName.map({ $0.bytes.after(driver + ":")?.text ?? $0 }) else {
                throw Refusal("the \(driver) disk has no \(key)")
            }
            path = try absolutePath(name, in: source.folder)
        case .folder:
            let folder = try Folder(options, fileName)
            isReadOnly = isReadOnly || !folder.isWritable
            path = try absolutePath(folder.path, in: source.folder)
        case .pci:
            path = try pciKey(options, fileName)
        case .network(let kind):
            let disk: NetworkDisk
            if let fileName {
                disk = try NetworkDisk(fileName: fileName, protocol: kind, folder: source.folder)
            } else {
                disk = try NetworkDisk(options: options, driver: driver, protocol: kind, folder: source.folder)
            }
            isReadOnly = isReadOnly || disk.isReadOnly
            isNetwork = true
            path = disk.key
        }
        return DiskUse(
            path: path, mode: isReadOnly ? .readonly : .exclusive, origin: source.origin, isNetwork: isNetwork)
    }

    private func pciKey(_ options: OptionObject, _ fileName: String?) throws(Refusal) -> String {
        if let fileName { return try BlockGraph.pciKey(fileName: fileName) }
        guard let device = options.text("device"), let namespace = options.text("namespace") else {
            throw Refusal("the nvme disk has no device or no namespace")
        }
        return "nvme://\(device.asciiLowercased)/\(namespace)"
    }

    static func pciKey(fileName: String) throws(Refusal) -> String {
        let parts = fileName.bytes.after("nvme://")?.split(separator: .slash).map(\.text) ?? []
        guard parts.count == 2 else { throw Refusal("the nvme disk is not nvme://ADDRESS/NAMESPACE") }
        return "nvme://\(parts[0].asciiLowercased)/\(parts[1])"
    }
}

/// `fat:[12:|16:|32:][floppy:][rw:][label:…:]PATH`, or the same in options.
private struct Folder {
    var path: String
    var isWritable: Bool

    init(_ options: OptionObject, _ fileName: String?) throws(Refusal) {
        if let fileName {
            guard let rest = fileName.bytes.after("fat:"), let colon = fileName.bytes.lastIndex(of: .colon) else {
                throw Refusal("the folder is not fat:PATH")
            }
            path = fileName.bytes[(colon + 1)...].text
            // QEMU looks for this anywhere in the name.
            isWritable = fileName.bytes.cut(at: ":rw:") != nil || rest.starts(with: "rw:".utf8)
        } else {
            guard let path = options.text("dir") else { throw Refusal("the vvfat disk has no dir") }
            self.path = path
            isWritable = try options.bool("rw") ?? false
        }
        if try options.bool("rw") == true { isWritable = true }
    }
}
