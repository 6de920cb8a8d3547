/// Goes through QEMU's options in their order and keeps what concerns disks, until all of them are known: a later `-set` or
/// `-snapshot` changes what an earlier `-drive` means.
struct OptionWalk {
    /// An option of the older syntax, that `-set` can still change.
    struct Group {
        var options: OptionList
        var origin: String
    }

    /// Something that may open a disk, in order of appearance.
    enum Opening {
        case drive(Int)
        case node(OptionObject, origin: String)
        case memory(OptionObject, origin: String)
    }

    let folder: String?
    var drives: [Group] = []
    var devices: [Group] = []
    /// Devices in JSON, which `-set` doesn't reach.
    var finishedDevices: [(options: OptionObject, origin: String)] = []
    var openings: [Opening] = []
    var isSnapshot = false
    var guestName: String?
    var guestUUID: String?
    var daemonizes = false
    var isIncoming = false

    init(folder: String?) {
        self.folder = folder
    }

    mutating func walk(_ words: ArraySlice<String>, readFile: (String) throws -> String) throws(CommandLineError) {
        var rest = words
        while let word = rest.popFirst() {
            guard word.begins(with: "-") else {
                // Also `@FILE`, which is no list of options to QEMU but an image of that name.
                try addDrive(
                    [.init(key: "file", value: word), .init(key: "media", value: "disk")], origin: origin(word))
                continue
            }
            let name = OptionWalk.optionName(word)
            switch EmulatorOptions.kind(of: name) {
            case .standsAlone:
                if name == "snapshot" { isSnapshot = true }
                if name == "daemonize" { daemonizes = true }
            case .takesArgument:
                guard let argument = rest.popFirst() else {
                    // QEMU won't start.
                    if OptionWalk.diskOptions.contains(name) {
                        throw .unreadableDisk(option: origin(word), reason: "its argument is missing")
                    }
                    return
                }
                try take(name, argument, as: origin(word, argument), readFile: readFile)
            case .unknown:
                // Whether it takes an argument isn't known. What follows is passed over as one, unless it looks like an
                // image's path: then it may be a disk, and a disk that is missed is lost.
                guard let next = rest.first, !next.begins(with: "-") else { continue }
                if OptionWalk.looksLikeImage(next) { throw .unclearWord(option: origin(word), word: origin(next)) }
                rest = rest.dropFirst()
            }
        }
    }

    /// `--drive` is `-drive`.
    private static func optionName(_ word: String) -> String {
        String(decoding: word.utf8.dropFirst(word.begins(with: "--") ? 2 : 1), as: UTF8.self)
    }

    private static let diskOptions = [
        "drive", "blockdev", "hda", "hdb", "hdc", "hdd", "cdrom", "sd", "mtdblock", "pflash", "fda", "fdb",
        "readconfig",
    ]

    private static func looksLikeImage(_ word: String) -> Bool {
        let path = word.bytes
        if let equals = path.firstIndex(of: .equals), path.firstIndex(of: .slash).map({ equals < $0 }) ?? true {
            return false
        }
        if path.contains(.slash) || word.begins(with: "json:") || word.begins(with: "@") { return true }
        let endings = [
            ".img", ".raw", ".qcow2", ".qcow", ".qed", ".vmdk", ".vdi", ".vhd", ".vhdx", ".iso", ".bin", ".disk",
        ]
        return endings.contains { word.asciiLowercased.ends(with: $0) }
    }

    private mutating func take(
        _ name: String, _ argument: String, as origin: String, readFile: (String) throws -> String
    ) throws(CommandLineError) {
        switch name {
        case "drive":
            try addDrive(OptionList(argument).items, origin: origin)
        case "hda", "hdb", "hdc", "hdd":
            try addDrive([.init(key: "file", value: argument), .init(key: "media", value: "disk")], origin: origin)
        case "cdrom":
            try addDrive([.init(key: "file", value: argument), .init(key: "media", value: "cdrom")], origin: origin)
        case "sd", "mtdblock", "pflash", "fda", "fdb":
            try addDrive([.init(key: "file", value: argument)], origin: origin)
        case "blockdev":
            let options = try refusing(origin) { () throws(Refusal) in
                try OptionObject(keyvalOrJSON: argument, firstKey: "driver")
            }
            openings.append(.node(options, origin: origin))
        case "device":
            try addDevice(argument, origin: origin)
        case "object":
            // Only one that can be read can be a disk: with another QEMU doesn't start.
            guard let options = try? OptionObject(keyvalOrJSON: argument, firstKey: "qom-type") else { return }
            if options.text("qom-type") == "memory-backend-file" { openings.append(.memory(options, origin: origin)) }
        case "set":
            try set(argument, origin: origin)
        case "readconfig":
            try readConfiguration(argument, origin: origin, readFile: readFile)
        case "usbdevice" where argument.begins(with: "disk:"):
            throw .unreadableDisk(option: origin, reason: "disks aren't given this way any more")
        case "hdachs":
            return
        case "name":
            take(name: OptionList(argument, firstKey: "guest"))
        case "uuid":
            guestUUID = argument
        case "incoming":
            isIncoming = true
        default:
            return
        }
    }

    private mutating func take(name: OptionList) {
        if let guest = name["guest"], !guest.isEmpty { guestName = guest }
    }

    private mutating func addDrive(_ items: [OptionList.Item], origin: String) throws(CommandLineError) {
        let options = OptionList(items: items)
        if let id = options.id, drives.contains(where: { $0.options.id == id }) {
            throw .unreadableDisk(option: origin, reason: "the id '\(id)' is given to two disks")
        }
        openings.append(.drive(drives.count))
        drives.append(Group(options: options, origin: origin))
    }

    private mutating func addDevice(_ argument: String, origin: String) throws(CommandLineError) {
        if argument.begins(with: "{") {
            let options = try refusing(origin) { () throws(Refusal) in try OptionObject(json: argument) }
            finishedDevices.append((options, origin))
        } else {
            devices.append(Group(options: OptionList(argument, firstKey: "driver"), origin: origin))
        }
    }

    /// `-set GROUP.ID.KEY=VALUE` changes an option that came before it.
    private mutating func set(_ argument: String, origin: String) throws(CommandLineError) {
        guard let (group, afterGroup) = argument.bytes.cut(at: .dot), group.text == "drive" || group.text == "device"
        else { return }
        guard let (id, afterID) = afterGroup.cut(at: .dot), let (key, value) = afterID.cut(at: .equals) else {
            throw .unreadableDisk(option: origin, reason: "it is not GROUP.ID.KEY=VALUE")
        }
        let item = OptionList.Item(key: key.text, value: value.text)
        if group.text == "device" {
            // Where there is no such device, QEMU doesn't start.
            guard let index = devices.firstIndex(where: { $0.options.id == id.text }) else { return }
            devices[index].options.items.append(item)
        } else {
            guard let index = drives.firstIndex(where: { $0.options.id == id.text }) else {
                throw .unreadableDisk(option: origin, reason: "there is no drive '\(id.text)' before it")
            }
            drives[index].options.items.append(item)
        }
    }
}

// MARK: - Configuration files

extension OptionWalk {
    /// Reads the file that QEMU reads by itself, where there is one.
    mutating func readOwnConfiguration(
        of words: ArraySlice<String>, readFile: (String) throws -> String
    ) throws(CommandLineError) {
        guard let command = words.first, !OptionWalk.doesWithoutOwnConfiguration(words.dropFirst()) else { return }
        var paths = ["/etc/qemu/qemu.conf"]
        if command.begins(with: "/usr/local/") { paths = ["/usr/local/etc/qemu/qemu.conf"] }
        if command.fileName == "qemu-kvm" { paths.append("/etc/qemu-kvm/qemu.conf") }
        for path in paths {
            guard let text = try? readFile(path) else { continue }
            try add(text, origin: path)
        }
    }

    private static func doesWithoutOwnConfiguration(_ words: ArraySlice<String>) -> Bool {
        var rest = words
        while let word = rest.popFirst() {
            guard word.begins(with: "-") else { continue }
            let name = optionName(word)
            if name == "no-user-config" { return true }
            if EmulatorOptions.kind(of: name) == .takesArgument { rest = rest.dropFirst() }
        }
        return false
    }

    private mutating func readConfiguration(
        _ path: String, origin: String, readFile: (String) throws -> String
    ) throws(CommandLineError) {
        guard path != "-" else {
            throw .unreadableConfiguration(option: origin, reason: "standard input can't be read twice")
        }
        let text: String
        do {
            text = try readFile(try absolutePath(path, in: folder))
        } catch let refusal as Refusal {
            throw .unreadableConfiguration(option: origin, reason: refusal.reason)
        } catch {
            throw .unreadableConfiguration(option: origin, reason: "the file can't be read")
        }
        try add(text, origin: origin)
    }

    private mutating func add(_ text: String, origin source: String) throws(CommandLineError) {
        let groups: [ConfigurationGroup]
        do {
            groups = try ConfigurationGroup.read(text)
        } catch {
            throw .unreadableConfiguration(option: source, reason: error.reason)
        }
        for group in groups {
            let name = group.options.id.map { "[\(group.name) \"\($0)\"]" } ?? "[\(group.name)]"
            let source = origin("\(source) \(name)")
            switch group.name {
            case "drive": try addDrive(group.options.items, origin: source)
            case "device": devices.append(Group(options: group.options, origin: source))
            case "name": take(name: group.options)
            case "object":
                guard let options = try? group.options.object() else { continue }
                if options.text("qom-type") == "memory-backend-file" {
                    openings.append(.memory(options, origin: source))
                }
            default: continue
            }
        }
    }
}

/// Says which option a refusal is about.
func refusing<T>(_ origin: String, _ body: () throws(Refusal) -> T) throws(CommandLineError) -> T {
    do {
        return try body()
    } catch {
        throw .unreadableDisk(option: origin, reason: error.reason)
    }
}
