extension NetworkDisk {
    /// Reads the JSON or dotted spelling: `"server": {"host": …}`, `server.host=…`.
    /// - Parameter driver: the driver's name, as in `driver=`.
    init(options: OptionObject, driver: String, protocol kind: NetworkProtocol, folder: String?) throws(Refusal) {
        let volume: String
        switch kind {
        case .nbd:
            volume = "/" + (options.text("export") ?? "")
        case .gluster:
            let path = options.text("path") ?? ""
            guard let name = options.text("volume"), !name.isEmpty, !path.isEmpty else {
                throw Refusal("the gluster disk names no volume and path")
            }
            volume = "/" + name + (path.begins(with: "/") ? path : "/" + path)
        case .sheepdog:
            guard let vdi = options.text("vdi"), !vdi.isEmpty else {
                throw Refusal("the sheepdog disk names no volume")
            }
            volume = "/" + vdi + NetworkDisk.snapshotSuffix(options.text("tag") ?? options.text("snap-id"))
        case .ssh, .nfs:
            let path = options.text("path") ?? ""
            volume = path.begins(with: "/") ? path : "/" + path
        case .rbd:
            try self.init(
                rbdPool: options.text("pool") ?? "", namespace: options.text("namespace"),
                image: options.text("image") ?? "", snapshot: options.text("snapshot"))
            return
        case .iscsi:
            let (host, port) = try hostAndPort((options.text("portal") ?? "").bytes)
            let target = options.text("target") ?? ""
            try self.init(iscsiHost: host, port: port, target: target, lun: options.text("lun") ?? "0")
            return
        case .web:
            guard let url = options.text("url") else { throw Refusal("the \(driver) disk has no url") }
            try self.init(web: try DiskURL(url))
            return
        }
        try self.init(server: options, of: kind, volume: volume, folder: folder)
        if kind == .sheepdog, volume.utf8.contains(UInt8(ascii: "#")) { isReadOnly = true }
    }

    /// Reads the server's address: `server`, the first of `server`, or for NBD and SSH the older `host`, `port` and `path`.
    private init(
        server options: OptionObject, of kind: NetworkProtocol, volume: String, folder: String?
    ) throws(Refusal) {
        let name: String
        switch kind {
        case .nbd: name = "nbd"
        case .gluster: name = "gluster"
        case .sheepdog: name = "sheepdog"
        case .ssh: name = "ssh"
        default: name = "nfs"
        }
        var server = options.object("server")
        if case .object(let first)? = options.elements("server")?.first { server = first }
        guard let address = server ?? (kind == .nbd || kind == .ssh ? options : nil) else {
            throw Refusal("the \(name) disk names no server")
        }
        var type = address.text("type")
        if server == nil || type == nil { type = address.text("host") == nil && kind == .nbd ? "unix" : "inet" }
        switch type {
        case "inet", "tcp":
            try self.init(
                name, host: address.text("host") ?? "", port: address.text("port"), defaultPort: kind.port,
                volume: volume)
        case "unix":
            guard let path = address.text("path") ?? address.text("socket") else {
                throw Refusal("the \(name) disk names no server")
            }
            try self.init(name, socket: path, folder: folder, volume: volume)
        case "vsock":
            guard let cid = address.text("cid"), let port = address.text("port") else {
                throw Refusal("the \(name) disk names no server")
            }
            try self.init(name + "+vsock", host: cid, port: port, defaultPort: kind.port, volume: volume)
        default:
            throw Refusal("a server of type \(type ?? "unknown") doesn't say which disk it is")
        }
    }
}
