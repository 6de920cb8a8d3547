extension Configuration {
    /// Reads a configuration file's text. A key that it doesn't set stays at its default.
    ///
    /// A file that libvirt calls `qemu-sanlock.conf` means here what it means to libvirt: `auto_disk_leases` is 0 unless
    /// set, of a key set twice the first counts, and `host_id = 0` is none. In any other file a key set twice is an error.
    ///
    /// - Parameters:
    ///   - text: the whole file; the time taken is linear in its length.
    ///   - path: where the text came from, for messages and for libvirt's name; no file is opened.
    /// - Throws: `ConfigurationError`, the first thing wrong in the text: syntax, an unknown key, a bad value.
    public init(parsing text: String, path: String) throws(ConfigurationError) {
        self.init()
        let isLibvirtFile = path.split(separator: "/").last == "qemu-sanlock.conf"
        autoDiskLeases = !isLibvirtFile

        var scanner = ConfigurationScanner(text, path: path)
        var lines: [ConfigurationKey: Int] = [:]
        while let (name, line) = try scanner.nextKey() {
            guard let key = ConfigurationKey(rawValue: name) else { throw .unknownKey(name, path: path, line: line) }
            if let earlier = lines[key] {
                guard isLibvirtFile else {
                    throw ConfigurationError(
                        path: path, line: line, key: name, problem: "already set in line \(earlier); allowed is once")
                }
                _ = try scanner.value(of: key)
                continue
            }
            lines[key] = line
            try take(try scanner.value(of: key), isLibvirtFile: isLibvirtFile)
        }
        if lines[.requireLeaseForDisks] == nil { requireLeaseForDisks = !autoDiskLeases }
    }

    private mutating func take(_ setting: Setting, isLibvirtFile: Bool) throws(ConfigurationError) {
        switch setting.key {
        case .autoDiskLeases: autoDiskLeases = try setting.boolean()
        case .diskLeaseDirectory: diskLeaseDirectory = try setting.leaseDirectory()
        case .hostId:
            let isNone = isLibvirtFile && setting.value == .number("0")
            hostId = isNone ? nil : try setting.integer(in: Limits.hostId)
        case .requireLeaseForDisks: requireLeaseForDisks = try setting.boolean()
        case .ioTimeout: ioTimeoutSeconds = try setting.integer(in: Limits.ioTimeoutSeconds)
        case .user: user = try setting.account()
        case .group: group = try setting.account()
        case .leaseHosts: leaseHosts = try setting.integer(in: Limits.leaseHosts)
        case .wait: waitSeconds = try setting.seconds()
        case .onLeaseLoss: onLeaseLoss = try setting.onLeaseLoss()
        case .stopTimeout: stopTimeoutSeconds = try setting.seconds()
        case .runDirectory: runDirectory = try setting.runDirectory()
        }
    }
}

extension ConfigurationError {
    fileprivate static func unknownKey(_ name: String, path: String, line: Int) -> ConfigurationError {
        let help =
            if let nearest = ConfigurationKey.nearest(to: name) {
                "did you mean \(nearest.rawValue)?"
            } else {
                "allowed are \(ConfigurationKey.allCases.map(\.rawValue).joined(separator: ", "))"
            }
        return ConfigurationError(path: path, line: line, key: printable(name), problem: "unknown key; \(help)")
    }
}
