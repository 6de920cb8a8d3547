extension NetworkDisk {
    /// Reads a file name with its protocol in front: a URL, or the older spelling with colons.
    init(fileName: String, protocol kind: NetworkProtocol, folder: String?) throws(Refusal) {
        let bytes = fileName.bytes
        let isURL = bytes.cut(at: "://") != nil
        switch kind {
        case .nbd where !isURL: try self.init(oldNBD: bytes, folder: folder)
        case .sheepdog where !isURL: try self.init(oldSheepdog: bytes)
        case .rbd: try self.init(rbd: bytes)
        default: try self.init(url: try DiskURL(fileName), protocol: kind, folder: folder)
        }
    }

    private init(url: DiskURL, protocol kind: NetworkProtocol, folder: String?) throws(Refusal) {
        let volume = url.path
        let isUnix = url.scheme.ends(with: "+unix")
        switch kind {
        case .nbd:
            let volume = "/" + volume.bytes.drop { $0 == .slash }.text
            if isUnix {
                try self.init("nbd", socket: url.socket(), folder: folder, volume: volume)
            } else {
                try self.init("nbd", host: url.host, port: url.port, defaultPort: kind.port, volume: volume)
            }
        case .gluster:
            guard volume.utf8.dropFirst().contains(.slash) else {
                throw Refusal("the gluster disk names no volume and path")
            }
            if isUnix {
                try self.init("gluster", socket: url.socket(), folder: folder, volume: volume)
            } else {
                let host = url.host.isEmpty ? "localhost" : url.host
                try self.init("gluster", host: host, port: url.port, defaultPort: kind.port, volume: volume)
            }
        case .sheepdog:
            let volume = volume + NetworkDisk.snapshotSuffix(url.fragment)
            if isUnix {
                try self.init("sheepdog", socket: url.socket(), folder: folder, volume: volume)
            } else {
                let host = url.host.isEmpty ? "localhost" : url.host
                try self.init("sheepdog", host: host, port: url.port, defaultPort: kind.port, volume: volume)
            }
            isReadOnly = url.fragment?.isEmpty == false
        case .iscsi:
            let parts = volume.bytes.split(separator: .slash).map(\.text)
            guard parts.count == 2 else { throw Refusal("the iscsi URL is not iscsi://HOST/TARGET/LUN") }
            try self.init(iscsiHost: url.host, port: url.port, target: parts[0], lun: parts[1])
        case .ssh, .nfs:
            let name = kind == .ssh ? "ssh" : "nfs"
            try self.init(name, host: url.host, port: url.port, defaultPort: kind.port, volume: volume)
        case .web:
            try self.init(web: url)
        case .rbd:
            throw Refusal("an rbd disk has no URL")
        }
    }

    init(web url: DiskURL) throws(Refusal) {
        let ports = ["http": "80", "https": "443", "ftp": "21", "ftps": "990"]
        guard let port = ports[url.scheme] else { throw Refusal("'\(url.scheme)' is no protocol of a web disk") }
        let volume = url.path.isEmpty ? "/" : url.path
        try self.init(url.scheme, host: url.host, port: url.port, defaultPort: port, volume: volume)
        isReadOnly = true
    }

    init(iscsiHost host: String, port: String?, target: String, lun: String) throws(Refusal) {
        guard !target.isEmpty, lun.isDecimal else { throw Refusal("the iscsi disk names no target or no LUN") }
        let unit = lun.utf8.drop { $0 == UInt8(ascii: "0") }
        let volume = "/\(target)/\(unit.isEmpty ? "0" : String(unit) ?? lun)"
        try self.init("iscsi", host: host, port: port, defaultPort: NetworkProtocol.iscsi.port, volume: volume)
    }

    static func snapshotSuffix(_ snapshot: String?) -> String {
        snapshot.map { $0.isEmpty ? "" : "#" + $0 } ?? ""
    }

    /// `nbd:HOST:PORT[:exportname=NAME]` and `nbd:unix:PATH[:exportname=NAME]`.
    private init(oldNBD text: Bytes, folder: String?) throws(Refusal) {
        var rest = text.after("nbd:") ?? text
        var export = "/"
        if let (before, after) = rest.cut(at: ":exportname=") {
            rest = before
            export += after.text
        }
        if let path = rest.after("unix:") {
            try self.init("nbd", socket: path.text, folder: folder, volume: export)
            return
        }
        if let (address, _) = rest.cut(at: .comma) { rest = address }
        let (host, port) = try hostAndPort(rest)
        guard let port, !port.isEmpty else { throw Refusal("'\(rest.text)' is no host and port") }
        try self.init(
            "nbd", host: host.isEmpty ? "localhost" : host, port: port, defaultPort: NetworkProtocol.nbd.port,
            volume: export)
    }

    /// `sheepdog:[HOST:PORT:]VDI[:SNAPSHOT]`.
    private init(oldSheepdog text: Bytes) throws(Refusal) {
        guard let rest = text.after("sheepdog:") else { throw Refusal("'\(text.text)' is no sheepdog disk") }
        var parts = rest.split(separator: .colon, omittingEmptySubsequences: false).map(\.text)
        var address = ("localhost", NetworkProtocol.sheepdog.port)
        if parts.count >= 3 {
            address = (parts[0], parts[1])
            parts.removeFirst(2)
        }
        guard let volume = parts.first, !volume.isEmpty, parts.count <= 2 else {
            throw Refusal("'\(text.text)' is no sheepdog disk")
        }
        let snapshot = parts.count == 2 ? parts[1] : nil
        try self.init(
            "sheepdog", host: address.0, port: address.1, defaultPort: NetworkProtocol.sheepdog.port,
            volume: "/" + volume + NetworkDisk.snapshotSuffix(snapshot))
        isReadOnly = snapshot?.isEmpty == false
    }

    /// `rbd:POOL/[NAMESPACE/]IMAGE[@SNAPSHOT][:OPTION=VALUE…]`, a backslash before a separator that is none.
    private init(rbd text: Bytes) throws(Refusal) {
        guard let rest = text.after("rbd:") else { throw Refusal("'\(text.text)' is no rbd disk") }
        var fields: [[UInt8]] = [[]]
        var separators: [UInt8] = []
        var isEscaped = false
        scan: for byte in rest {
            if isEscaped {
                fields[fields.count - 1].append(byte)
                isEscaped = false
                continue
            }
            switch byte {
            case .backslash: isEscaped = true
            case .colon: break scan
            case .slash, UInt8(ascii: "@"):
                separators.append(byte)
                fields.append([])
            default: fields[fields.count - 1].append(byte)
            }
        }
        let names = fields.map { $0[...].text }
        switch String(decoding: separators, as: UTF8.self) {
        case "/": try self.init(rbdPool: names[0], namespace: nil, image: names[1], snapshot: nil)
        case "//": try self.init(rbdPool: names[0], namespace: names[1], image: names[2], snapshot: nil)
        case "/@": try self.init(rbdPool: names[0], namespace: nil, image: names[1], snapshot: names[2])
        case "//@": try self.init(rbdPool: names[0], namespace: names[1], image: names[2], snapshot: names[3])
        default: throw Refusal("the rbd disk is not rbd:POOL/IMAGE")
        }
    }
}
