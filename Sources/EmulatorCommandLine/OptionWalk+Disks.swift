extension OptionWalk {
    /// The disks of all options, in order of appearance, a disk as often as it is named.
    func disks() throws(CommandLineError) -> [DiskUse] {
        let devices = try allDevices()
        let persistent = Set(devices.flatMap { OptionWalk.persistentMemory(of: $0.options) })
        var graph = BlockGraph()
        for opening in openings {
            switch opening {
            case .drive(let index):
                try addDrive(drives[index], to: &graph)
            case .node(let options, let origin):
                let source = BlockGraph.Source(origin: origin, folder: folder, isDrive: false)
                _ = try refusing(origin) { () throws(Refusal) in try graph.add(options, isReadOnly: false, from: source)
                }
            case .memory(let options, let origin):
                guard let id = options.text("id"), persistent.contains(id) else { continue }
                let disk = try refusing(origin) { () throws(Refusal) in try memoryDisk(options, origin: origin) }
                if let disk { graph.add(disk) }
            }
        }
        var attachments: [BlockGraph.Attachment] = []
        for device in devices {
            guard let drive = device.options.text("drive") else { continue }
            let isShared = try refusing(device.origin) { () throws(Refusal) in
                try device.options.bool("share-rw") ?? false
            }
            attachments.append(.init(name: drive, isShared: isShared))
        }
        return try graph.disks(attachments: attachments)
    }

    private func addDrive(_ drive: Group, to graph: inout BlockGraph) throws(CommandLineError) {
        let source = BlockGraph.Source(origin: drive.origin, folder: folder, isDrive: true)
        try refusing(drive.origin) { () throws(Refusal) in
            var options = drive.options
            try OptionWalk.checkFlags(options)
            var isReadOnly = try options.bool("readonly", "read-only") ?? false
            if options["media"] == "cdrom" { isReadOnly = true }
            // -snapshot is for drives that don't say.
            if try options.bool("snapshot") ?? isSnapshot { isReadOnly = true }
            let fileName = options["file"].flatMap { $0.isEmpty ? nil : $0 }
            let format = options["format"]

            // The rest is the block node's.
            let ofDrive = ["cache", "file", "id", "media", "snapshot", "readonly", "read-only", "format"]
            options.items.removeAll { ofDrive.contains($0.key) }
            var object = try options.object()
            if let format {
                guard object["driver"] == nil else { throw Refusal("'driver' and 'format' are both given") }
                object["driver"] = .text(format)
            }
            object["read-only"] = .bool(isReadOnly)
            let node = try graph.add(object, fileName: fileName, isReadOnly: isReadOnly, from: source)
            try graph.name(node, drive.options.id)
        }
    }

    /// A word of `-drive` without `=` is a switch; any other is a mistake, maybe a disk's name.
    private static func checkFlags(_ options: OptionList) throws(Refusal) {
        let switches = [
            "readonly", "read-only", "auto-read-only", "snapshot", "copy-on-read", "direct", "no-flush", "writeback",
            "rw", "floppy",
            "locking", "force-share", "boot",
        ]
        for item in options.items where item.isFlag {
            guard let last = item.key.bytes.split(separator: .dot).last, switches.contains(last.text) else {
                throw Refusal("'\(item.value == "off" ? "no" : "")\(item.key)' has no '='")
            }
        }
    }

    private func allDevices() throws(CommandLineError) -> [(options: OptionObject, origin: String)] {
        var result = finishedDevices
        for device in devices {
            var options = OptionObject()
            // Dots group nothing here: `x.y` is one property.
            for item in device.options.items {
                try refusing(device.origin) { () throws(Refusal) in
                    if !item.key.utf8.contains(.dot), !item.key.isEmpty {
                        try options.insert(.text(item.value), at: item.key)
                    }
                }
            }
            result.append((options, device.origin))
        }
        return result
    }
}

// MARK: - Persistent memory

extension OptionWalk {
    /// The memory backends that a device shows to the guest as a disk that outlives it. Other memory is only memory.
    private static func persistentMemory(of device: OptionObject) -> [String] {
        guard let driver = device.text("driver") else { return [] }
        let isPersistent = driver == "nvdimm" || driver.begins(with: "virtio-pmem") || driver == "cxl-type3"
        return isPersistent ? ["memdev", "persistent-memdev", "lsa"].compactMap { device.text($0) } : []
    }

    /// The file of a `memory-backend-file`; only with `share=on` do a guest's writes reach it.
    private func memoryDisk(_ options: OptionObject, origin: String) throws(Refusal) -> DiskUse? {
        guard let name = options.text("mem-path") else { return nil }
        let isShared = try options.bool("share") ?? false
        let isReadOnly = try options.bool("readonly") ?? false
        let path = try absolutePath(name, in: folder)
        return DiskUse(path: path, mode: isShared && !isReadOnly ? .exclusive : .readonly, origin: origin)
    }
}
