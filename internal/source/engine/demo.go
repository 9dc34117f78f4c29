package engine

import (
	"fmt"
	"strings"
)

const (
	DemoTable = "users"
	demoCount = 1000
	demoBatch = 250 // rows of one INSERT, below SQLite's limit on terms
)

// DemoCreate works on all three databases. %s is the table's name.
const DemoCreate = "CREATE TABLE %s (id integer PRIMARY KEY, name text NOT NULL, city text)"

// DemoStatements creates the table and fills it with records 1 to demoCount.
// The values are literals because they are ours, hold no quote, and so need
// no dialect.
func DemoStatements(table string) []string {
	texts := []string{fmt.Sprintf(DemoCreate, table)}
	for first := 1; first <= demoCount; first += demoBatch {
		var b strings.Builder
		fmt.Fprintf(&b, "INSERT INTO %s (id, name, city) VALUES ", table)
		for id := first; id < first+demoBatch && id <= demoCount; id++ {
			if id > first {
				b.WriteString(", ")
			}
			name, city := DemoPerson(id)
			fmt.Fprintf(&b, "(%d, '%s', '%s')", id, name, city)
		}
		texts = append(texts, b.String())
	}
	return texts
}

// people are names of one language and cities where they are common.
type people struct {
	families, givens, cities string // separated by blanks; _ is a blank inside one
	familyFirst              bool
	glue                     string
}

// demoPeople has its first record, 张三 of 北京, as its first combination.
var demoPeople = [...]people{
	{"张 王 李 赵 陈 杨 周 吴", "三 伟 芳 娜 敏 静 磊 洋 婷", "北京 上海 广州 成都 西安 杭州 武汉", true, ""},
	{"Müller Schmidt Weber Krüger Größer Jäger", "Anna Jürgen Björn Käthe Lukas Sören Greta", "Berlin München Köln Düsseldorf Leipzig", false, " "},
	{"García Núñez Peña Ibáñez Muñoz", "Lucía José Begoña Ángel Íñigo Sofía", "Madrid Sevilla Málaga A_Coruña Bogotá Lima", false, " "},
	{"Иванова Смирнова Кузнецова Попова", "Анна Ольга Мария Елена Наталья", "Москва Казань Самара Томск", false, " "},
	{"佐藤 鈴木 高橋 田中 渡辺", "健 陽菜 翔太 さくら 美咲 蓮", "東京 大阪 京都 札幌", true, " "},
	{"الحسن منصور حداد خوري", "ليلى عمر سمير نور هدى", "القاهرة بيروت عمّان دبي", false, " "},
	{"Okafor Adeyemi Mensah Diallo", "Chidi Ngozi Kwame Aïssatou Tunde", "Lagos Accra Dakar Abuja", false, " "},
	{"शर्मा गुप्ता सिंह वर्मा", "प्रिया राहुल अनन्या विक्रम नेहा", "दिल्ली मुंबई जयपुर पुणे", false, " "},
	{"김 이 박 최 정", "민준 서연 지훈 하은 도윤", "서울 부산 대구 인천", true, ""},
	{"Nguyễn Trần Lê Phạm", "Minh_Anh Thu_Hà Quốc_Huy Lan", "Hà_Nội Huế Đà_Nẵng", true, " "},
	{"Smith Jones Taylor Walker Singh Patel", "Olivia Noah Amelia George Zoë Finn", "London Leeds Boston Toronto Sydney", false, " "},
}

// DemoPerson returns record id's name and city, always the same.
func DemoPerson(id int) (name, city string) {
	n := id - 1
	p := demoPeople[n%len(demoPeople)]
	n /= len(demoPeople)
	pick := func(list string, i int) string {
		words := strings.Fields(list)
		return strings.ReplaceAll(words[i%len(words)], "_", " ")
	}
	family, given := pick(p.families, n), pick(p.givens, n+n/len(strings.Fields(p.families)))
	if p.familyFirst {
		return family + p.glue + given, pick(p.cities, n)
	}
	return given + p.glue + family, pick(p.cities, n)
}
