/// A disk as people, programs and QEMU's monitor name it, in the one form that its lease goes by: the same as if an emulator's
/// `-drive file=NAME` had it.
public struct NamedDisk: Sendable, Equatable {
    /// Why a name says nothing of a disk.
    public struct Problem: Error, Equatable {
        /// What is wrong with it, without its passwords.
        public let reason: String
    }

    /// The string that is hashed; see ``DiskUse/path``. Not a name itself: what was decoded once is not to be decoded again.
    public let path: String
    /// Whether it is reached over a network, or is a PCI device: no path of this host.
    public let isRemote: Bool

    /// Reads a name.
    ///
    /// - Parameters:
    ///   - name: a path, `file:` in front of it or not, or a network disk's name: `nbd://…`, `rbd:POOL/IMAGE` and the like. A
    ///     colon after anything but a protocol of QEMU's belongs to a path.
    ///   - folder: the absolute path of the folder in which a relative path is meant; nil: it is refused.
    public init(_ name: String, in folder: String?) throws(Problem) {
        do throws(Refusal) {
            let kind = protocolName(of: name).flatMap(BlockDriver.name(ofProtocol:)).flatMap(BlockDriver.init(named:))
            switch kind {
            case .network(let kind):
                path = try NetworkDisk(fileName: name, protocol: kind, folder: folder).key
                isRemote = true
            case .pci:
                path = try BlockGraph.pciKey(fileName: name)
                isRemote = true
            case .local, .folder, .nothing, .nodes, nil:
                path = try NamedDisk.localPath(name, kind, folder)
                isRemote = false
            }
        } catch {
            throw Problem(reason: error.reason)
        }
    }

    private static func localPath(_ name: String, _ kind: BlockDriver?, _ folder: String?) throws(Refusal) -> String {
        var path = name
        switch kind {
        case .local: path = name.bytes.cut(at: .colon)?.after.text ?? name
        case .folder, .nothing, .nodes: throw Refusal("'\(name)' names no disk; name the disk below it")
        case nil, .network, .pci: break
        }
        guard !path.isEmpty else { throw Refusal("a disk's name can't be empty") }
        if path.begins(with: "/") { return path }
        guard let folder else { throw Refusal("it is no absolute path; write it as the guest's command does") }
        return folder + "/" + path
    }

    /// The disks that QEMU has open where its monitor names a node's file so: `json:` too.
    ///
    /// - Parameter folder: the folder that the emulator runs in.
    /// - Returns: their `path`s; nil where it can't be read: one that is very long is cut.
    public static func all(openedAs fileName: String, in folder: String) -> [String]? {
        var graph = BlockGraph()
        let source = BlockGraph.Source(origin: "", folder: folder, isDrive: false)
        do throws(Refusal) {
            _ = try graph.add(
                OptionObject(), fileName: withBrackets(fileName), as: .storage, isReadOnly: false, from: source)
        } catch {
            return nil
        }
        return (try? graph.disks(attachments: []))?.map(\.path)
    }

    // QEMU prints an IPv6 address as `nbd://::1:10809/`, the port always there.
    private static func withBrackets(_ fileName: String) -> String {
        guard let rest = fileName.bytes.after("nbd://") else { return fileName }
        let address = rest.prefix { $0 != .slash }
        guard address.first != UInt8(ascii: "["), !address.contains(UInt8(ascii: "@")),
            address.count(where: { $0 == .colon }) > 1,
            let end = address.lastIndex(of: .colon)
        else { return fileName }
        return "nbd://[\(address[..<end].text)]\(rest[end...].text)"
    }
}
