//! The words a generated catalogue is made of. All of them are ours: everyday nouns, invented
//! brands, sellers, authors and sentences.

/// Told apart leafs of the same noun.
pub(crate) const QUALIFIERS: [&str; 16] = [
    "",
    "cao cấp",
    "mini",
    "cho gia đình",
    "cho trẻ em",
    "cho văn phòng",
    "tiết kiệm",
    "nhập khẩu",
    "du lịch",
    "handmade",
    "thông minh",
    "chuyên dụng",
    "theo bộ",
    "phiên bản mới",
    "cỡ lớn",
    "khác",
];

/// Names of the levels between root and leaf.
pub(crate) const GROUPS: [&str; 10] = [
    "Nhóm phổ biến",
    "Nhóm chọn lọc",
    "Bộ sưu tập",
    "Hàng thiết yếu",
    "Theo nhu cầu",
    "Theo mùa",
    "Hàng tuyển chọn",
    "Danh mục mở rộng",
    "Dòng chuyên dụng",
    "Sản phẩm khác",
];

pub(crate) const BRANDS: [&str; 40] = [
    "Sunora",
    "Lavita Home",
    "Kovanix",
    "Minh Khuê",
    "Hoàng Mộc",
    "Nam Trí",
    "Zentora",
    "Bluefinch",
    "An Nhiên",
    "Tân Kỳ",
    "Velmora",
    "Orikawa",
    "Hải Đăng",
    "Mộc Lan",
    "Pinewood",
    "Everlume",
    "Thiên Phúc",
    "Gracely",
    "Northpeak",
    "Sao Mai",
    "Lotusia",
    "Koda & Co",
    "Trúc Xinh",
    "Rivello",
    "Mazuki",
    "Việt Tâm",
    "Cloudnine",
    "Phú Lộc",
    "Hikaru",
    "Delmarra",
    "Ngọc Bích",
    "Bamboo's",
    "Quế Anh",
    "Atlasio",
    "Morning Dew",
    "Thảo Mộc Xanh",
    "Nordika",
    "Sơn Ca",
    "Luminex",
    "Gia Bảo",
];

pub(crate) const SELLERS: [&str; 24] = [
    "Nhà Gọn Đẹp",
    "Siêu Thị Tiện Ích",
    "Phố Công Nghệ",
    "Góc Nhỏ Xinh",
    "Kho Sỉ Miền Nam",
    "Nhà Sách Ánh Dương",
    "Thế Giới Phụ Kiện",
    "Bếp Của Mẹ",
    "Sống Khỏe Mỗi Ngày",
    "Cửa Hàng Bình Minh",
    "Đồ Chơi Vui",
    "Thời Trang Phố",
    "Điện Máy Gia Hòa",
    "Vườn Nhà Mình",
    "Hàng Tốt Giá Mềm",
    "Tiệm Nhà Mây",
    "Chợ Online 24h",
    "Đại Lý Hưng Thịnh",
    "Mua Sắm Thông Minh",
    "Tổng Kho An Phát",
    "Xưởng Gỗ Tre Việt",
    "Shop Ba Con Mèo",
    "Bán Lẻ Toàn Quốc",
    "Ô Kê Store",
];

pub(crate) const FAMILY_NAMES: [&str; 10] = [
    "Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Vũ", "Đặng", "Bùi", "Đỗ", "Ngô",
];

pub(crate) const GIVEN_NAMES: [&str; 16] = [
    "Minh Anh",
    "Thu Hà",
    "Quốc Bảo",
    "Ngọc Mai",
    "Đức Huy",
    "Phương Linh",
    "Thanh Tùng",
    "Bích Ngọc",
    "Gia Khánh",
    "Hải Yến",
    "Tuấn Kiệt",
    "Lan Chi",
    "Hữu Phước",
    "Mỹ Duyên",
    "Nhật Nam",
    "Kim Oanh",
];

pub(crate) const TITLE_BEGINNINGS: [&str; 12] = [
    "Những Ngày",
    "Chuyện Kể Về",
    "Bí Mật Của",
    "Hành Trình Đến",
    "Một Thoáng",
    "Trở Lại",
    "Đi Tìm",
    "Giữa Lòng",
    "Lời Ru Của",
    "Người Giữ",
    "Bản Đồ",
    "Mười Bài Học Từ",
];

pub(crate) const TITLE_ENDINGS: [&str; 16] = [
    "Mùa Hạ",
    "Biển Xanh",
    "Ngọn Đồi Gió",
    "Thành Phố Nhỏ",
    "Ký Ức",
    "Dòng Sông Cũ",
    "Bầu Trời",
    "Vườn Cau",
    "Chiếc Cầu Gỗ",
    "Cánh Rừng",
    "Ngôi Nhà Cuối Phố",
    "Tiếng Chuông",
    "Hạt Mưa",
    "Ánh Trăng",
    "Phiên Chợ Quê",
    "Con Đường Đất",
];

pub(crate) const FEATURES: [&str; 20] = [
    "chống trượt",
    "siêu nhẹ",
    "dung tích lớn",
    "chất liệu an toàn",
    "bảo hành 12 tháng",
    "thiết kế tối giản",
    "tiết kiệm điện",
    "chống nước",
    "dễ vệ sinh",
    "phong cách Hàn Quốc",
    "có tay cầm",
    "gấp gọn",
    "phiên bản 2025",
    "bộ 3 món",
    "size lớn",
    "hàng loại 1",
    "tặng kèm túi đựng",
    "chính hãng",
    "độ bền cao",
    "màu ngẫu nhiên",
];

pub(crate) const COLOURS: [&str; 8] = [
    "Đen",
    "Trắng",
    "Xanh dương",
    "Hồng",
    "Xám",
    "Đỏ",
    "Be",
    "Xanh rêu",
];

pub(crate) const SIZES: [&str; 6] = ["S", "M", "L", "XL", "Size 39", "Loại 500ml"];

pub(crate) const ORIGINS: [&str; 6] = [
    "Việt Nam",
    "Trung Quốc",
    "Thái Lan",
    "Hàn Quốc",
    "Nhật Bản",
    "Đức",
];

pub(crate) const MATERIALS: [&str; 8] = [
    "Inox 304",
    "Nhựa ABS",
    "Gỗ thông",
    "Vải cotton &amp; polyester",
    "Thủy tinh",
    "Da PU",
    "Gốm sứ",
    "<p>Silicon thực phẩm</p>",
];

pub(crate) const SENTENCES: [&str; 20] = [
    "Sản phẩm được gia công tỉ mỉ, phù hợp với nhu cầu sử dụng hằng ngày.",
    "Chất liệu bền, dễ lau chùi và không bám mùi.",
    "Kiểu dáng gọn gàng giúp tiết kiệm không gian cho căn nhà của bạn.",
    "Đóng gói cẩn thận, kiểm tra kỹ trước khi giao.",
    "Thích hợp làm quà tặng cho người thân và bạn bè.",
    "Màu sắc trang nhã, dễ phối với nhiều phong cách.",
    "Vui lòng đọc kỹ hướng dẫn trước khi dùng.",
    "Bảo quản nơi khô ráo, tránh ánh nắng trực tiếp.",
    "Hình ảnh có thể chênh lệch đôi chút do ánh sáng khi chụp.",
    "Kích thước đo thủ công nên sai số từ 1 đến 2 cm.",
    "Thương hiệu cam kết chất lượng trong suốt thời gian bảo hành.",
    "Người dùng có thể tháo rời từng phần để vệ sinh.",
    "Mỗi lô hàng đều có phiếu kiểm định riêng.",
    "Thiết kế phù hợp cho cả người lớn và trẻ nhỏ.",
    "Dùng được cho gia đình, văn phòng hoặc khi đi xa.",
    "Bề mặt được xử lý chống trầy xước ở mức cơ bản.",
    "Hỗ trợ đổi mới nếu phát hiện lỗi từ nhà sản xuất.",
    "Nên chọn cỡ lớn hơn một số nếu bạn phân vân.",
    "Hộp gồm sản phẩm chính, sách hướng dẫn và phụ kiện đi kèm.",
    "Chúng tôi luôn sẵn sàng giải đáp trong giờ làm việc.",
];

/// Ends every description, as on the site: the notice about taxes and extra costs, shortened.
pub(crate) const BOILERPLATE: &str = "<p>Giá sản phẩm trên Tiki đã bao gồm thuế theo luật hiện \
     hành. Bên cạnh đó, tuỳ vào loại sản phẩm, hình thức và địa chỉ giao hàng mà có thể phát \
     sinh thêm chi phí khác.....</p>";
