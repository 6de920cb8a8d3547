/// QEMU's block nodes as the command line lays them out, down to the disks.
struct BlockGraph {
    /// What a node stands for in the one above it.
    enum Role {
        /// An image, of a format that is named or that QEMU finds out.
        case image
        /// What `file=` names below a format: its protocol is in front of its name.
        case storage
        /// An image that is only read, unless it says otherwise.
        case backing
    }

    /// Where a node comes from.
    struct Source {
        var origin: String
        /// The folder that relative paths start from; nil where it isn't known.
        var folder: String?
        /// A drive may be empty, a `-blockdev` never is.
        var isDrive: Bool
    }

    private struct Node {
        var children: [Int] = []
        var references: [(name: String, origin: String)] = []
        var disk: DiskUse?
        var passesSharing = true
        var isBelowAnother = false
        var isReachedShared = false
        var isReachedAlone = false
    }

    private var nodes: [Node] = []
    private var names: [String: Int] = [:]

    /// Gives the node a name that devices and other nodes use. A `-drive` without `id` has none.
    mutating func name(_ node: Int, _ name: String?) throws(Refusal) {
        guard let name, !name.isEmpty else { return }
        guard names[name] == nil else { throw Refusal("the name '\(name)' is given to two disks") }
        names[name] = node
    }

    /// Adds a disk that is no block node.
    mutating func add(_ disk: DiskUse) {
        var node = Node()
        node.disk = disk
        nodes.append(node)
    }

    /// Adds a node and all that are nested in it.
    /// - Parameters:
    ///   - options: its options, dots written out.
    ///   - fileName: the file name that `-drive file=` and what is spelled like it give.
    ///   - isReadOnly: what rules where the options don't say.
    /// - Returns: the node.
    mutating func add(
        _ options: OptionObject, fileName: String? = nil, as role: Role = .image, isReadOnly: Bool, from source: Source,
        depth: Int = 0
    ) throws(Refusal) -> Int {
        guard depth < nestingLimit else { throw Refusal("the disk is nested too deeply") }
        var options = options
        var fileName = fileName
        if let name = fileName, let json = name.bytes.after("json:") {
            // What the option says goes before what its file name says: a read-only in there doesn't rule a -drive.
            options = options.over(try OptionObject(json: json.text).expandingDots())
            fileName = nil
        }
        let node = nodes.count
        nodes.append(Node())
        try name(node, options.text("node-name"))

        let said = try options.bool("read-only")
        let isReadOnly = said ?? isReadOnly
        var driver = options.text("driver")
        if options["driver"] != nil, driver == nil { throw Refusal("the driver is no name") }
        if driver == nil, role == .storage, let fileName { driver = try driverName(of: fileName) }

        guard let driver else {
            try addProbed(node, options, fileName, role, isReadOnly, source, depth)
            return node
        }
        guard let kind = BlockDriver(named: driver) else {
            throw Refusal("what the block driver '\(driver)' opens is not known")
        }
        if case .nodes(let passSharing) = kind {
            nodes[node].passesSharing = passSharing
            if let name = fileName, driver == "blkdebug" || driver == "blkverify" {
                try options.takeFileName(name, of: driver)
                fileName = nil
            }
            try addBelow(node, options, fileName, isReadOnly, source, depth)
            if nodes[node].children.isEmpty, nodes[node].references.isEmpty {
                try checkUnnamed(role, isReadOnly: isReadOnly, mayBeEmpty: depth == 0 && source.isDrive)
            }
        } else {
            nodes[node].disk = try disk(of: kind, driver, options, fileName, isReadOnly, source)
        }
        return node
    }

    /// The driver that the protocol in front of a file name stands for.
    private func driverName(of fileName: String) throws(Refusal) -> String {
        guard let name = protocolName(of: fileName) else { return "file" }
        guard let driver = BlockDriver.name(ofProtocol: name) else {
            throw Refusal("the protocol '\(name)' is not known")
        }
        return driver
    }

    /// A node without a driver: QEMU looks for the image's format by itself.
    private mutating func addProbed(
        _ node: Int, _ options: OptionObject, _ fileName: String?, _ role: Role, _ isReadOnly: Bool, _ source: Source,
        _ depth: Int
    ) throws(Refusal) {
        let hasNodes = BlockDriver.nodeKeys.contains { options[$0] != nil } || options["children"] != nil
        if fileName != nil || hasNodes {
            try addBelow(node, options, fileName, isReadOnly, source, depth)
        } else if options["filename"] != nil {
            // Without `file=` QEMU takes this as a path, whatever protocol it seems to name.
            let file = BlockDriver.local(key: "filename", isReadOnly: false)
            nodes[node].disk = try disk(of: file, "file", options, nil, isReadOnly, source)
        } else {
            try checkUnnamed(
                role, isReadOnly: isReadOnly, mayBeEmpty: depth == 0 && source.isDrive && options.isEmptyDrive)
        }
    }

    /// A node that nothing names is an empty drive, or the backing file that an image itself names: then QEMU only reads it,
    /// unless it is told otherwise.
    private func checkUnnamed(_ role: Role, isReadOnly: Bool, mayBeEmpty: Bool) throws(Refusal) {
        if role == .backing {
            guard isReadOnly else { throw Refusal("it makes a backing file writable without naming it") }
        } else if !mayBeEmpty {
            throw Refusal("the options of a disk don't name it")
        }
    }

    /// The nodes that a format or filter lies on.
    private mutating func addBelow(
        _ node: Int, _ options: OptionObject, _ fileName: String?, _ isReadOnly: Bool, _ source: Source,
        _ depth: Int
    ) throws(Refusal) {
        if let fileName {
            guard options.text("file") == nil else { throw Refusal("'file' is given as a name and as a node") }
            let below = options.object("file") ?? OptionObject()
            guard below["filename"] == nil else { throw Refusal("'file' and 'file.filename' are both given") }
            adopt(
                try add(
                    below, fileName: fileName, as: .storage, isReadOnly: isReadOnly, from: source, depth: depth + 1),
                node)
        }
        for key in ["x-raw", "x-image"] {
            guard let name = options.text(key) else { continue }
            adopt(
                try add(
                    OptionObject(), fileName: name, as: key == "x-raw" ? .storage : .image, isReadOnly: isReadOnly,
                    from: source,
                    depth: depth + 1), node)
        }
        for key in BlockDriver.nodeKeys where !(key == "file" && fileName != nil) {
            try addChild(options[key], of: node, key: key, as: .image, isReadOnly, source, depth)
        }
        let children = options.elements("children")
        guard children != nil || options["children"] == nil else {
            throw Refusal("'children' is no list of block nodes")
        }
        for child in children ?? [] {
            try addChild(child, of: node, key: "children", as: .image, isReadOnly, source, depth)
        }
        try addChild(options["backing"], of: node, key: "backing", as: .backing, true, source, depth)
    }

    private mutating func addChild(
        _ value: OptionValue?, of node: Int, key: String, as role: Role, _ isReadOnly: Bool, _ source: Source,
        _ depth: Int
    ) throws(Refusal) {
        switch value {
        case nil, .null: return
        case .text(let name):
            if key == "backing", name.isEmpty { return }
            nodes[node].references.append((name, source.origin))
        case .object(let options):
            adopt(try add(options, as: role, isReadOnly: isReadOnly, from: source, depth: depth + 1), node)
        default: throw Refusal("'\(key)' is no block node")
        }
    }

    private mutating func adopt(_ child: Int, _ parent: Int) {
        nodes[child].isBelowAnother = true
        nodes[parent].children.append(child)
    }
}

extension OptionObject {
    /// Takes `blkdebug:CONFIG:IMAGE` and `blkverify:RAW:IMAGE` apart. Without the prefix the whole name is the image's.
    fileprivate mutating func takeFileName(_ name: String, of driver: String) throws(Refusal) {
        guard let rest = name.bytes.after(driver + ":") else {
            self["x-image"] = .text(name)
            return
        }
        guard let (first, image) = rest.cut(at: .colon) else { throw Refusal("it is not \(driver):…:IMAGE") }
        if driver == "blkverify" { self["x-raw"] = .text(first.text) }
        self["x-image"] = .text(image.text)
    }

    /// Nothing but what a drive without a medium may have.
    fileprivate var isEmptyDrive: Bool {
        let keys = [
            "read-only", "auto-read-only", "node-name", "if", "index", "bus", "unit", "serial", "addr", "werror",
            "rerror", "aio",
            "cache", "discard", "detect-zeroes", "copy-on-read", "force-share", "group", "boot", "cyls", "heads",
            "secs", "trans",
        ]
        let beginnings = ["bps", "iops", "throttling", "stats"]
        return values.keys.allSatisfy { key in keys.contains(key) || beginnings.contains { key.begins(with: $0) } }
    }
}

// MARK: - What is opened, and how

extension BlockGraph {
    /// A device's hold on a disk.
    struct Attachment {
        var name: String
        var isShared: Bool
    }

    /// The disks, in the order in which they were added, each with the mode that the devices on it leave it.
    func disks(attachments: [Attachment]) throws(CommandLineError) -> [DiskUse] {
        var graph = self
        for index in graph.nodes.indices {
            for reference in graph.nodes[index].references {
                guard let target = graph.names[reference.name] else {
                    throw .unreadableDisk(
                        option: reference.origin, reason: "there is no block node '\(reference.name)'")
                }
                graph.nodes[target].isBelowAnother = true
                graph.nodes[index].children.append(target)
            }
        }
        var isAttached = Set<Int>()
        for attachment in attachments {
            guard let node = graph.names[attachment.name] else { continue }
            isAttached.insert(node)
            graph.reach(from: node, isShared: attachment.isShared)
        }
        for index in graph.nodes.indices where !graph.nodes[index].isBelowAnother && !isAttached.contains(index) {
            graph.reach(from: index, isShared: false)
        }
        return graph.nodes.compactMap { node in
            guard var disk = node.disk else { return nil }
            if disk.mode == .exclusive, node.isReachedShared, !node.isReachedAlone { disk.mode = .shared }
            return disk
        }
    }

    private mutating func reach(from start: Int, isShared: Bool) {
        var left = [(start, isShared)]
        while let (index, isShared) = left.popLast() {
            if isShared ? nodes[index].isReachedShared : nodes[index].isReachedAlone { continue }
            if isShared { nodes[index].isReachedShared = true } else { nodes[index].isReachedAlone = true }
            for child in nodes[index].children { left.append((child, isShared && nodes[index].passesSharing)) }
        }
    }
}
