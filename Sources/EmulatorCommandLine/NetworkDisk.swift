/// A disk that QEMU reaches over a network, in one form whichever way it was spelled (URL, colons, JSON, dots):
///
///     nbd://HOST:PORT/EXPORT       nbd+unix:///EXPORT?socket=PATH      nbd+vsock://CID:PORT/EXPORT
///     rbd:POOL/[NAMESPACE/]IMAGE[@SNAPSHOT]
///     iscsi://HOST:PORT/TARGET/LUN
///     gluster://HOST:PORT/VOLUME/PATH                                  gluster+unix:///VOLUME/PATH?socket=PATH
///     sheepdog://HOST:PORT/VDI[#SNAPSHOT]                              sheepdog+unix:///VDI[#SNAPSHOT]?socket=PATH
///     ssh://HOST:PORT/PATH         nfs://HOST:PORT/PATH
///     http://HOST:PORT/PATH        https://…   ftp://…   ftps://…
///
/// HOST is in lower case, an IPv6 address in brackets; PORT is always there, the protocol's own where none was given
/// (NBD 10809, iSCSI 3260, Gluster 24007, Sheepdog 7000, SSH 22, NFS 2049, HTTP 80, HTTPS 443, FTP 21, FTPS 990). What is
/// written `%XX` in a URL is decoded. User, password, key, query and options are left out, and so are the transport
/// (`iser`, `+rdma`) and Ceph's monitors: the same disk can be reached with others. Of several Gluster servers the first counts.
struct NetworkDisk: Equatable {
    var key: String
    /// Nothing can be written there, whatever the options say.
    var isReadOnly = false
}

enum NetworkProtocol: CaseIterable, Equatable {
    case nbd, rbd, iscsi, gluster, sheepdog, ssh, nfs, web

    /// The drivers' names, as in `driver=`.
    var drivers: [String] {
        switch self {
        case .nbd: ["nbd"]
        case .rbd: ["rbd"]
        case .iscsi: ["iscsi", "iser"]
        case .gluster: ["gluster", "gluster+tcp", "gluster+unix", "gluster+rdma"]
        case .sheepdog: ["sheepdog", "sheepdog+tcp", "sheepdog+unix"]
        case .ssh: ["ssh"]
        case .nfs: ["nfs"]
        case .web: ["http", "https", "ftp", "ftps"]
        }
    }

    /// What stands before the colon of a file name.
    var schemes: [String] {
        self == .nbd ? ["nbd", "nbd+tcp", "nbd+unix"] : drivers
    }

    var port: String {
        switch self {
        case .nbd: "10809"
        case .iscsi: "3260"
        case .gluster: "24007"
        case .sheepdog: "7000"
        case .ssh: "22"
        case .nfs: "2049"
        case .rbd, .web: ""
        }
    }
}

extension NetworkDisk {
    /// `PROTOCOL://HOST:PORT/VOLUME`.
    init(_ scheme: String, host: String, port: String?, defaultPort: String, volume: String) throws(Refusal) {
        var host = host.asciiLowercased
        if host.begins(with: "["), host.ends(with: "]") { host = String(host.dropFirst().dropLast()) }
        guard !host.isEmpty else { throw Refusal("the \(scheme) disk names no host") }
        guard !volume.isEmpty else { throw Refusal("the \(scheme) disk names no volume") }
        if host.utf8.contains(.colon) { host = "[\(host)]" }
        key = "\(scheme)://\(host):\(NetworkDisk.normalPort(port, or: defaultPort))\(volume)"
    }

    /// `PROTOCOL+unix:///VOLUME?socket=PATH`.
    init(_ scheme: String, socket: String, folder: String?, volume: String) throws(Refusal) {
        key = "\(scheme)+unix://\(volume)?socket=\(try absolutePath(socket, in: folder))"
    }

    /// `rbd:POOL/[NAMESPACE/]IMAGE[@SNAPSHOT]`.
    init(rbdPool pool: String, namespace: String?, image: String, snapshot: String?) throws(Refusal) {
        guard !pool.isEmpty, !image.isEmpty else { throw Refusal("the rbd disk names no pool or no image") }
        key = "rbd:\(pool)/"
        if let namespace, !namespace.isEmpty { key += namespace + "/" }
        key += image
        if let snapshot, !snapshot.isEmpty {
            key += "@" + snapshot
            isReadOnly = true
        }
    }

    /// `08080` is `8080`.
    private static func normalPort(_ port: String?, or fallback: String) -> String {
        guard let port, !port.isEmpty else { return fallback }
        guard port.isDecimal else { return port }
        let digits = port.utf8.drop { $0 == UInt8(ascii: "0") }
        return digits.isEmpty ? fallback : String(digits) ?? port
    }
}

/// The parts of `SCHEME://[USER@]HOST[:PORT]/PATH[?QUERY][#FRAGMENT]`, `%XX` decoded.
struct DiskURL {
    var scheme: String
    var host: String
    var port: String?
    /// With the slash in front.
    var path: String
    var fragment: String?
    private var query: Bytes

    /// - Throws: where it is no URL.
    init(_ text: String) throws(Refusal) {
        guard let (scheme, afterScheme) = text.bytes.cut(at: "://") else { throw Refusal("'\(text)' is no URL") }
        self.scheme = scheme.text
        var rest = afterScheme
        if let (before, after) = rest.cut(at: UInt8(ascii: "#")) {
            rest = before
            fragment = try decodePercent(after)
        }
        query = []
        if let (before, after) = rest.cut(at: UInt8(ascii: "?")) {
            rest = before
            query = after
        }
        let pathStart = rest.firstIndex(of: .slash) ?? rest.endIndex
        path = try decodePercent(rest[pathStart...])
        var authority = rest[rest.startIndex..<pathStart]
        if let at = authority.lastIndex(of: UInt8(ascii: "@")) { authority = authority[(at + 1)...] }
        let (host, port) = try hostAndPort(authority)
        self.host = try decodePercent(host.bytes)
        self.port = port
    }

    /// The value of `socket=` in the query.
    func socket() throws(Refusal) -> String {
        for part in query.split(whereSeparator: { $0 == UInt8(ascii: "&") || $0 == UInt8(ascii: ";") }) {
            if let value = part.after("socket=") { return try decodePercent(value) }
        }
        throw Refusal("the \(scheme) URL names no socket")
    }
}

/// Parts `HOST`, `HOST:PORT`, `[IPv6]` and `[IPv6]:PORT`.
func hostAndPort(_ text: Bytes) throws(Refusal) -> (host: String, port: String?) {
    if text.first == UInt8(ascii: "[") {
        guard let (host, after) = text.dropFirst().cut(at: UInt8(ascii: "]")), after.isEmpty || after.first == .colon
        else {
            throw Refusal("'\(text.text)' is no host and port")
        }
        return (host.text, after.isEmpty ? nil : after.dropFirst().text)
    }
    guard let (host, port) = text.cut(at: .colon) else { return (text.text, nil) }
    guard port.allSatisfy(\.isDigit) else { throw Refusal("'\(text.text)' is no host and port") }
    return (host.text, port.text)
}

private func decodePercent(_ text: Bytes) throws(Refusal) -> String {
    var result: [UInt8] = []
    var rest = text
    while let byte = rest.first {
        rest = rest.dropFirst()
        if byte == UInt8(ascii: "%"), let high = rest.first?.hexValue, let low = rest.dropFirst().first?.hexValue {
            result.append(high << 4 | low)
            rest = rest.dropFirst(2)
        } else {
            result.append(byte)
        }
    }
    guard let decoded = String(validating: result, as: UTF8.self), !decoded.utf8.contains(0) else {
        throw Refusal("the URL has a %XX escape that is not UTF-8")
    }
    return decoded
}
