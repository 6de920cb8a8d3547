import Testing

@testable import EmulatorCommandLine

@Suite struct BlockdevTests {
    @Test(arguments: [
        Sample("-blockdev driver=file,filename=/x,node-name=f", "W /x"),
        Sample("-blockdev file,node-name=f,filename=x", "W /there/x"),
        Sample("-blockdev driver=file,filename=file:/x,node-name=f", "W /there/file:/x"),
        Sample("-blockdev driver=file,filename=/x,node-name=f,read-only=on", "R /x"),
        Sample("-blockdev driver=file,filename=/x,node-name=f,read-only=on,read-only=off", "W /x"),
        Sample("-blockdev driver=file,filename=/x,node-name=f,auto-read-only=on", "W /x"),
        Sample("-blockdev driver=raw,node-name=r,file.driver=file,file.filename=/x", "W /x"),
        Sample("-blockdev driver=raw,node-name=r,read-only=on,file.driver=file,file.filename=/x", "R /x"),
        Sample(
            "-blockdev driver=raw,node-name=r,read-only=on,file.driver=file,file.filename=/x,file.read-only=off", "W /x"
        ),
        Sample("-blockdev file,node-name=f,filename=/x -blockdev raw,node-name=r,read-only=on,file=f", "W /x"),
        Sample(
            "-blockdev file,node-name=f,filename=/x,read-only=on -blockdev raw,node-name=r,file=f,read-only=on", "R /x"),
        Sample(
            "-blockdev {\"driver\":\"qcow2\",\"node-name\":\"q\",\"file\":{\"driver\":\"file\",\"filename\":\"/x\"},\"backing\":{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"/b\"}}}",
            "W /x", "R /b"),
        Sample(
            "-blockdev {\"driver\":\"qcow2\",\"node-name\":\"q\",\"file\":{\"driver\":\"file\",\"filename\":\"/x\"},\"backing\":null,\"data-file\":{\"driver\":\"host_device\",\"filename\":\"/dev/d\"}}",
            "W /x", "W /dev/d"),
        Sample(
            "-blockdev {\"driver\":\"qcow2\",\"node-name\":\"q\",\"read-only\":true,\"file\":{\"driver\":\"file\",\"filename\":\"/x\"},\"data-file\":{\"driver\":\"file\",\"filename\":\"/d\"}}",
            "R /x", "R /d"),
        Sample(
            "-blockdev {\"driver\":\"quorum\",\"node-name\":\"q\",\"vote-threshold\":1,\"children\":[{\"driver\":\"file\",\"filename\":\"/a\"},{\"driver\":\"file\",\"filename\":\"/b\",\"read-only\":true}]}",
            "W /a", "R /b"),
        Sample(
            "-blockdev throttle,node-name=t,throttle-group=g,file.driver=raw,file.file.driver=file,file.file.filename=/x",
            "W /x"),
        Sample("-blockdev copy-on-read,node-name=c,file.driver=file,file.filename=/x", "W /x"),
        Sample("-blockdev blkdebug,node-name=c,image.driver=file,image.filename=/x", "W /x"),
        Sample(
            "-blockdev blkverify,node-name=c,test.driver=file,test.filename=/x,raw.driver=file,raw.filename=/y", "W /x",
            "W /y"),
        Sample(
            "-blockdev blklogwrites,node-name=c,file.driver=file,file.filename=/x,log.driver=file,log.filename=/y",
            "W /x", "W /y"),
        Sample(
            "-blockdev replication,node-name=c,mode=secondary,top-id=t,file.driver=qcow2,file.file.driver=file,file.file.filename=/x",
            "W /x"),
        Sample(
            "-blockdev luks,node-name=c,key-secret=s,file.driver=file,file.filename=/x,header.driver=file,header.filename=/h",
            "W /x", "W /h"),
        Sample("-blockdev null-co,node-name=n,size=1G"),
        Sample(
            "-blockdev virtio-blk-vhost-vdpa,node-name=n,path=/dev/vhost-vdpa-0,cache.direct=on", "W /dev/vhost-vdpa-0"),
        Sample("-blockdev file,node-name=f,filename=/x -machine pflash0=f", "W /x"),
    ])
    func nodesAreFollowedToTheirDisks(_ sample: Sample) throws {
        #expect(try disks(sample.options) == sample.expected)
    }

    private static let file = "-blockdev file,node-name=f,filename=/x "

    @Test(arguments: [
        Sample("-drive file=/x,if=none,id=d -device virtio-blk-pci,drive=d,share-rw=on", "S /x"),
        Sample("-drive file=/x,if=none,id=d -device virtio-blk-pci,drive=d,share-rw", "S /x"),
        Sample("-drive file=/x,if=none,id=d -device virtio-blk-pci,drive=d,share-rw=off", "W /x"),
        Sample("-drive file=/x,if=none,id=d,readonly=on -device virtio-blk-pci,drive=d,share-rw=on", "R /x"),
        Sample("-device virtio-blk-pci,drive=d,share-rw=on -drive file=/x,if=none,id=d,format=raw", "S /x"),
        Sample(
            "-drive file=/x,if=none,id=d -device {\"driver\":\"scsi-hd\",\"drive\":\"d\",\"share-rw\":true}", "S /x"),
        Sample(
            "-drive file=/x,if=none,id=d -device {\"driver\":\"scsi-hd\",\"drive\":\"d\",\"share-rw\":\"on\"}", "S /x"),
        Sample("-drive file=/x,if=none,id=d -device scsi-hd,drive=d,share-rw=on -device scsi-hd,drive=d", "W /x"),
        Sample("-drive file=/x,if=none,id=d -device scsi-hd,drive=d,id=v -set device.v.share-rw=on", "S /x"),
        Sample("-drive file=/x,if=none,id=d -device scsi-hd,drive=other,share-rw=on", "W /x"),
        Sample(
            "-drive file=/x,if=none,id=d,backing.file.filename=/b -device scsi-hd,drive=d,share-rw=on", "S /x", "R /b"),
        Sample(file + "-device scsi-hd,drive=f,share-rw=on", "S /x"),
        Sample(file + "-blockdev raw,node-name=r,file=f -device scsi-hd,drive=r,share-rw=on", "S /x"),
        Sample(
            file
                + "-blockdev throttle,node-name=t,throttle-group=g,file=f -blockdev raw,node-name=r,file=t -device scsi-hd,drive=r,share-rw=on",
            "S /x"),
        Sample(
            file
                + "-blockdev raw,node-name=r,file=f -blockdev raw,node-name=s,file=f -device scsi-hd,drive=r,share-rw=on",
            "W /x"),
        // QEMU keeps a qcow2 image's file to itself, whatever the device says.
        Sample(file + "-blockdev qcow2,node-name=q,file=f -device scsi-hd,drive=q,share-rw=on", "W /x"),
        Sample("-drive file=/x,format=qcow2,if=none,id=d -device scsi-hd,drive=d,share-rw=on", "W /x"),
    ])
    func sharedIsWhatOnlySharingDevicesReach(_ sample: Sample) throws {
        #expect(try disks(sample.options) == sample.expected)
    }

    @Test(arguments: [
        Sample("-object memory-backend-file,id=m,mem-path=/p,share=on,size=1G -device nvdimm,id=n,memdev=m", "W /p"),
        Sample(
            "-device nvdimm,id=n,memdev=m -object memory-backend-file,id=m,mem-path=p,share=on,size=1G", "W /there/p"),
        Sample(
            "-object memory-backend-file,id=m,mem-path=/p,share=on,readonly=on,size=1G -device nvdimm,memdev=m", "R /p"),
        Sample("-object memory-backend-file,id=m,mem-path=/p,size=1G -device nvdimm,memdev=m", "R /p"),
        Sample(
            "-object {\"qom-type\":\"memory-backend-file\",\"id\":\"m\",\"mem-path\":\"/p\",\"share\":true} -device virtio-pmem-pci,memdev=m",
            "W /p"),
        Sample("-object memory-backend-file,id=m,mem-path=/p,share=on,size=1G -numa node,memdev=m"),
    ])
    func persistentMemoryIsADisk(_ sample: Sample) throws {
        #expect(try disks(sample.options) == sample.expected)
    }

    @Test func aCycleOfNodesEnds() throws {
        #expect(try disks(["-blockdev", "raw,node-name=a,file=b", "-blockdev", "raw,node-name=b,file=a"]) == [])
    }
}
